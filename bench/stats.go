// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"math"
	"slices"
)

// series is one quantity of one scenario, measured on several servers in
// interleaved rounds: values[s][i] and values[t][i] were taken one after the
// other. Smaller is better, except for what has no goal.
type series struct {
	scenario, unit string
	order          []string // servers, as they first came
	values         map[string][]float64
	goals          []goal
}

// goal is that subject's median is at most factor times the peer's, or at most
// factor if peer is "".
type goal struct {
	subject, peer string
	factor        float64
}

func (g goal) String() string {
	if g.peer == "" {
		return fmt.Sprintf("at most %.3g", g.factor)
	}
	return fmt.Sprintf("at most %.3g x %s", g.factor, g.peer)
}

func (s *series) add(server string, value float64) {
	if s.values == nil {
		s.values = map[string][]float64{}
	}
	if !slices.Contains(s.order, server) {
		s.order = append(s.order, server)
	}
	s.values[server] = append(s.values[server], value)
}

// spread is a distribution: median, quartiles, extremes.
type spread struct{ min, low, median, high, max float64 }

func spreadOf(values []float64) spread {
	v := slices.Sorted(slices.Values(values))
	if len(v) == 0 {
		nan := math.NaN()
		return spread{nan, nan, nan, nan, nan}
	}
	return spread{v[0], quantile(v, 0.25), quantile(v, 0.5), quantile(v, 0.75), v[len(v)-1]}
}

// quantile is the value below which the part q of the values lies, which are
// sorted. It is between two of them where none is at that place.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return math.NaN()
	}
	x := q * float64(len(sorted)-1)
	i := int(x)
	if i+1 == len(sorted) {
		return sorted[i]
	}
	return sorted[i] + (x-float64(i))*(sorted[i+1]-sorted[i])
}

// ratio is the spread of subject over peer, round by round; that of single
// rounds, not of medians, because what disturbs a round disturbs both.
func (s *series) ratio(subject, peer string) spread {
	a, b := s.values[subject], s.values[peer]
	var r []float64
	for i := range min(len(a), len(b)) {
		if b[i] > 0 {
			r = append(r, a[i]/b[i])
		}
	}
	return spreadOf(r)
}

// verdict of a goal: "ok", "SHORT", or "-" if it was not measured.
func (s *series) verdict(g goal) string {
	r := s.ratio(g.subject, g.peer).median
	if g.peer == "" {
		r = spreadOf(s.values[g.subject]).median
	}
	switch {
	case math.IsNaN(r):
		return "-"
	case r <= g.factor:
		return "ok"
	default:
		return "SHORT"
	}
}

// number has three figures that count.
func number(x float64) string {
	switch a := math.Abs(x); {
	case math.IsNaN(x):
		return "-"
	case a >= 100:
		return fmt.Sprintf("%.0f", x)
	case a >= 10:
		return fmt.Sprintf("%.1f", x)
	case a >= 1 || a == 0:
		return fmt.Sprintf("%.2f", x)
	case a >= 0.1:
		return fmt.Sprintf("%.3f", x)
	default:
		return fmt.Sprintf("%.4f", x)
	}
}
