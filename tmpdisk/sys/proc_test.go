// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"fmt"
	"testing"
)

func TestParseStat(t *testing.T) {
	const tail = " S 7 8 9 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 4242 1 2"
	want := ProcStat{State: 'S', Parent: 7, Session: 9, Threads: 1, Start: 4242}
	for name, line := range map[string]string{
		"plain":       "12 (sh)" + tail,
		"space":       "12 (a b)" + tail,
		"parenthesis": "12 (a) S 1 (b))" + tail,
		"newline":     "12 (a\nb)" + tail,
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := ParseStat(line); err != nil || got != want {
				t.Errorf("got %+v, %v, want %+v", got, err, want)
			}
		})
	}
	for name, line := range map[string]string{
		"empty": "", "no name": "12 S 1", "short": "12 (sh) S 7 8 9", "bad": "12 (sh) S x" + tail,
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := ParseStat(line); err == nil {
				t.Errorf("got %+v, want an error", got)
			}
		})
	}
}

// FuzzParseStat lets a process choose its name, and lets the line be anything.
func FuzzParseStat(f *testing.F) {
	f.Add("sh", 1, 2, uint64(3))
	f.Add("a) S 1 2 3 (b", -1, 7, uint64(1)<<63)
	f.Add(") ", 0, 0, uint64(0))
	f.Fuzz(func(t *testing.T, name string, parent, session int, start uint64) {
		ParseStat(name) // must only not panic
		line := fmt.Sprintf("77 (%s) S %d 5 %d 0 -1 4194560 9 8 7 6 5 4 3 2 20 0 1 0 %d 1000 200\n", name, parent, session, start)
		st, err := ParseStat(line)
		want := ProcStat{State: 'S', Parent: parent, Session: session, Threads: 1, Start: start}
		if err != nil || st != want {
			t.Errorf("%q: got %+v, %v, want %+v", line, st, err, want)
		}
	})
}

func TestDead(t *testing.T) {
	for name, test := range map[string]struct {
		st   ProcStat
		want bool
	}{
		"sleeping":                      {ProcStat{State: 'S', Threads: 1}, false},
		"zombie":                        {ProcStat{State: 'Z', Threads: 1}, true},
		"zombie without threads":        {ProcStat{State: 'Z'}, true},
		"first of its threads a zombie": {ProcStat{State: 'Z', Threads: 2}, false},
		"dead":                          {ProcStat{State: 'X', Threads: 1}, true},
	} {
		if got := test.st.Dead(); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}
