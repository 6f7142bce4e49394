// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"math"
	"testing"
)

func TestSpread(t *testing.T) {
	tests := []struct {
		name   string
		values []float64
		want   spread
	}{
		{"one", []float64{7}, spread{7, 7, 7, 7, 7}},
		{"even", []float64{4, 1, 3, 2}, spread{1, 1.75, 2.5, 3.25, 4}},
		{"odd", []float64{5, 1, 4, 2, 3}, spread{1, 2, 3, 4, 5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := spreadOf(tt.values); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	if got := spreadOf(nil).median; !math.IsNaN(got) {
		t.Errorf("median of nothing: got %v, want NaN", got)
	}
}

func TestRatioIsByRound(t *testing.T) {
	s := &series{}
	for _, v := range []float64{2, 20, 200} {
		s.add(ours, v)
		s.add(peerC, v/2)
	}
	want := spread{2, 2, 2, 2, 2}
	if got := s.ratio(ours, peerC); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	for want, g := range map[string]goal{
		"ok":    {ours, peerC, 2},
		"SHORT": {ours, peerC, 1.9},
		"-":     {spares, peerC, 1},
	} {
		if got := s.verdict(g); got != want {
			t.Errorf("verdict of %v: got %s, want %s", g, got, want)
		}
	}
}

func TestGoalWithoutPeer(t *testing.T) {
	s := &series{}
	for _, v := range []float64{1, 9, 10} {
		s.add(ours, v)
	}
	for want, factor := range map[string]float64{"ok": 9, "SHORT": 8.9} {
		if got := s.verdict(goal{ours, "", factor}); got != want {
			t.Errorf("at most %g: got %s, want %s", factor, got, want)
		}
	}
}
