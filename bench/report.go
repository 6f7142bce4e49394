// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
)

// report is all that was measured.
type report struct {
	all    []*series
	failed []string
}

func (r *report) series(scenario, unit string, goals ...goal) *series {
	s := &series{scenario: scenario, unit: unit, goals: goals}
	r.all = append(r.all, s)
	return s
}

// table prints, for every server, the median and the quartiles, and how many
// times the peers' the median is, round by round. A goal stands on the line of
// its subject.
func (r *report) table(w io.Writer) {
	const format = "%-17s %-14s %-7s %9s %19s %8s %19s %9s  %s\n"
	fmt.Fprintf(w, format, "scenario", "unit", "server", "median", "quartiles", "x C", "quartiles", "x memory", "goal")
	for _, s := range r.all {
		for _, server := range s.order {
			v, c, m := spreadOf(s.values[server]), s.ratio(server, peerC), s.ratio(server, memory)
			verdicts := ""
			for _, g := range s.goals {
				if g.subject == server {
					verdicts += fmt.Sprintf("%s: %v  ", s.verdict(g), g)
				}
			}
			fmt.Fprintf(w, format, s.scenario, s.unit, server, number(v.median), quartiles(v),
				number(c.median), quartiles(c), number(m.median), verdicts)
		}
	}
}

func quartiles(s spread) string { return number(s.low) + " .. " + number(s.high) }

// write leaves the table as results.csv, every single value as rounds.csv and
// the plot as results.svg in dir.
func (r *report) write(dir string) error {
	results := [][]string{{"scenario", "unit", "server", "rounds", "median", "low_quartile", "high_quartile", "min", "max",
		"ratio_to_c", "ratio_to_c_low_quartile", "ratio_to_c_high_quartile", "ratio_to_memory", "goals"}}
	rounds := [][]string{{"scenario", "unit", "server", "round", "value"}}
	exact := func(x float64) string { return strconv.FormatFloat(x, 'g', 6, 64) }
	for _, s := range r.all {
		for _, server := range s.order {
			v, c, m := spreadOf(s.values[server]), s.ratio(server, peerC), s.ratio(server, memory)
			goals := ""
			for _, g := range s.goals {
				if g.subject == server {
					goals += fmt.Sprintf("%v: %s; ", g, s.verdict(g))
				}
			}
			row := []string{s.scenario, s.unit, server, strconv.Itoa(len(s.values[server]))}
			for _, x := range []float64{v.median, v.low, v.high, v.min, v.max, c.median, c.low, c.high, m.median} {
				row = append(row, exact(x))
			}
			results = append(results, append(row, goals))
			for i, x := range s.values[server] {
				rounds = append(rounds, []string{s.scenario, s.unit, server, strconv.Itoa(i + 1), exact(x)})
			}
		}
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	for name, rows := range map[string][][]string{"results.csv": results, "rounds.csv": rounds} {
		var b bytes.Buffer
		if err := csv.NewWriter(&b).WriteAll(rows); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), b.Bytes(), 0o666); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "results.svg"), r.plot(), 0o666)
}
