// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package logs

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// bench is a Limiter with a clock of its own, and what it has logged.
type bench struct {
	*Limiter
	clock *testkit.Clock
	lines []string
	sent  int
}

func newBench() *bench {
	b := &bench{clock: testkit.NewClock()}
	b.Limiter = New(func(line string) { b.lines = append(b.lines, line) })
	b.Limiter.clock = b.clock
	return b
}

// send logs n lines of a kind, each with its number.
func (b *bench) send(kind string, n int) {
	for range n {
		b.sent++
		b.Log(kind, fmt.Sprint(kind, b.sent))
	}
}

// lines are "a1" to "a3" for lines("a", 1, 3).
func lines(kind string, from, to int) []string {
	var s []string
	for i := from; i <= to; i++ {
		s = append(s, fmt.Sprint(kind, i))
	}
	return s
}

func more(n int, last string) []string {
	return []string{fmt.Sprintf("... and %d more of this kind in the last minute: %s", n, last)}
}

func TestLog(t *testing.T) {
	const almost = time.Minute - time.Nanosecond
	for _, tc := range []struct {
		name   string
		do     func(b *bench)
		want   []string
		timers int
	}{
		{"ten", func(b *bench) { b.send("a", 10) }, lines("a", 1, 10), 0},
		{"eleven", func(b *bench) { b.send("a", 11) }, lines("a", 1, 10), 1},
		{"kinds count apart", func(b *bench) { b.send("a", 10); b.send("b", 10) },
			slices.Concat(lines("a", 1, 10), lines("b", 11, 20)), 0},
		{"each has a timer", func(b *bench) { b.send("a", 20); b.send("b", 20) },
			slices.Concat(lines("a", 1, 10), lines("b", 21, 30)), 2},
		{"before the minute is over", func(b *bench) { b.send("a", 12); b.clock.Pass(almost); b.send("a", 1) },
			lines("a", 1, 10), 1},
		{"a minute without more", func(b *bench) { b.send("a", 10); b.clock.Pass(time.Minute); b.send("a", 10) },
			lines("a", 1, 20), 0},
		{"the minute begins with the first", func(b *bench) {
			b.send("a", 1)
			b.clock.Pass(almost)
			b.send("a", 10)
			b.clock.Pass(1)
		}, slices.Concat(lines("a", 1, 10), more(1, "a11")), 0},
		{"the next begins with a line", func(b *bench) {
			b.send("a", 1)
			b.clock.Pass(time.Hour)
			b.send("a", 10)
			b.clock.Pass(almost)
			b.send("a", 1)
		}, lines("a", 1, 11), 1},
		{"the timer", func(b *bench) { b.send("a", 1244); b.clock.Pass(time.Minute) },
			slices.Concat(lines("a", 1, 10), more(1234, "a1244")), 0},
		{"the next line", func(b *bench) { b.send("a", 15); b.clock.Stall(time.Minute); b.send("a", 1) },
			slices.Concat(lines("a", 1, 10), more(5, "a15"), lines("a", 16, 16)), 0},
		{"the count is one of the ten", func(b *bench) { b.send("a", 15); b.clock.Pass(time.Minute); b.send("a", 10) },
			slices.Concat(lines("a", 1, 10), more(5, "a15"), lines("a", 16, 24)), 1},
		{"an hour later", func(b *bench) {
			b.send("a", 15)
			b.clock.Pass(time.Minute)
			b.clock.Pass(time.Hour)
			b.send("a", 10)
		}, slices.Concat(lines("a", 1, 10), more(5, "a15"), lines("a", 16, 25)), 0},
		{"a timer that runs too late", func(b *bench) {
			b.send("a", 11)
			late := b.clock.Late()
			b.clock.Stall(time.Minute)
			b.send("a", 11) // the first ends the minute
			late()
		}, slices.Concat(lines("a", 1, 10), more(1, "a11"), lines("a", 12, 20)), 1},
		{"stop", func(b *bench) { b.send("a", 13); b.Stop(); b.Stop() },
			slices.Concat(lines("a", 1, 10), more(3, "a13")), 0},
		{"stop with nothing to say", func(b *bench) { b.send("a", 10); b.Stop() }, lines("a", 1, 10), 0},
		{"no timer after stop", func(b *bench) { b.Stop(); b.send("a", 13) }, lines("a", 1, 10), 0},
		{"after stop", func(b *bench) { b.Stop(); b.send("a", 13); b.clock.Pass(time.Minute); b.Stop() },
			slices.Concat(lines("a", 1, 10), more(3, "a13")), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench()
			tc.do(b)
			if !slices.Equal(b.lines, tc.want) {
				t.Errorf("got %q, want %q", b.lines, tc.want)
			}
			if got := len(b.clock.Timers()); got != tc.timers {
				t.Errorf("got %d timers, want %d", got, tc.timers)
			}
		})
	}
}

// A client that could choose the kind could not use up memory.
func TestManyKinds(t *testing.T) {
	b := newBench()
	for i := range 10_000 {
		b.Log(fmt.Sprint(i), "line")
	}
	if got, want := len(b.lines), maxKinds+perMinute; got != want {
		t.Errorf("got %d lines, want %d", got, want)
	}
	if got, want := len(b.kinds), maxKinds+1; got != want {
		t.Errorf("got %d kinds, want %d", got, want)
	}
	if got := len(b.clock.Timers()); got != 1 {
		t.Errorf("got %d timers, want 1", got)
	}
}

// Nothing is lost, whoever logs; for the race detector.
func TestConcurrent(t *testing.T) {
	got := 0
	l := New(func(line string) {
		n := 1
		if strings.HasPrefix(line, "...") {
			if _, err := fmt.Sscanf(line, "... and %d more", &n); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
		got += n
	})
	var all sync.WaitGroup
	for i := range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 1000 {
				l.Log(string(rune('a'+i%3)), "line")
			}
		}()
	}
	all.Wait()
	l.Stop()
	if got != 8000 {
		t.Errorf("got %d lines, want 8000", got)
	}
}

func TestFault(t *testing.T) {
	var f Fault
	for i, step := range []struct {
		what  string // "" ends it
		want  bool
		lasts bool
	}{
		{"", false, false},
		{"full", true, true},
		{"full", false, true},
		{"read-only", true, true},
		{"full", true, true},
		{"", true, false},
		{"", false, false},
		{"full", true, true},
	} {
		got := step.what == "" && f.Ends() || step.what != "" && f.Begins(step.what)
		if got != step.want || f.Lasts() != step.lasts {
			t.Errorf("step %d, %q: got %v, lasts %v, want %v, %v", i, step.what, got, f.Lasts(), step.want, step.lasts)
		}
	}
}
