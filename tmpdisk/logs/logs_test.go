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
)

// bench is a Limiter with a clock of its own, and what it has logged.
type bench struct {
	*Limiter
	time   time.Duration
	timers []*timer
	lines  []string
	sent   int
}

type timer struct {
	at      time.Duration
	f       func()
	stopped bool
}

func newBench() *bench {
	b := &bench{time: time.Second}
	b.Limiter = newLimiter(func(line string) { b.lines = append(b.lines, line) },
		func() time.Duration { return b.time },
		func(d time.Duration, f func()) func() bool {
			tm := &timer{at: b.time + d, f: f}
			b.timers = append(b.timers, tm)
			return func() bool { tm.stopped = true; return true }
		})
	return b
}

// send logs n lines of a kind, each with its number.
func (b *bench) send(kind string, n int) {
	for range n {
		b.sent++
		b.Log(kind, fmt.Sprint(kind, b.sent))
	}
}

// pass lets d pass. Timers that are due run if they are not late.
func (b *bench) pass(d time.Duration, late bool) {
	b.time += d
	for _, tm := range slices.Clone(b.timers) {
		if !late && !tm.stopped && tm.at <= b.time {
			tm.stopped = true
			tm.f()
		}
	}
}

func (b *bench) running() int {
	n := 0
	for _, tm := range b.timers {
		if !tm.stopped {
			n++
		}
	}
	return n
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
		{"before the minute is over", func(b *bench) { b.send("a", 12); b.pass(almost, false); b.send("a", 1) },
			lines("a", 1, 10), 1},
		{"a minute without more", func(b *bench) { b.send("a", 10); b.pass(time.Minute, false); b.send("a", 10) },
			lines("a", 1, 20), 0},
		{"the minute begins with the first", func(b *bench) {
			b.send("a", 1)
			b.pass(almost, false)
			b.send("a", 10)
			b.pass(1, false)
		}, slices.Concat(lines("a", 1, 10), more(1, "a11")), 0},
		{"the next begins with a line", func(b *bench) {
			b.send("a", 1)
			b.pass(time.Hour, false)
			b.send("a", 10)
			b.pass(almost, false)
			b.send("a", 1)
		}, lines("a", 1, 11), 1},
		{"the timer", func(b *bench) { b.send("a", 1244); b.pass(time.Minute, false) },
			slices.Concat(lines("a", 1, 10), more(1234, "a1244")), 0},
		{"the next line", func(b *bench) { b.send("a", 15); b.pass(time.Minute, true); b.send("a", 1) },
			slices.Concat(lines("a", 1, 10), more(5, "a15"), lines("a", 16, 16)), 0},
		{"the count is one of the ten", func(b *bench) { b.send("a", 15); b.pass(time.Minute, false); b.send("a", 10) },
			slices.Concat(lines("a", 1, 10), more(5, "a15"), lines("a", 16, 24)), 1},
		{"an hour later", func(b *bench) {
			b.send("a", 15)
			b.pass(time.Minute, false)
			b.pass(time.Hour, false)
			b.send("a", 10)
		}, slices.Concat(lines("a", 1, 10), more(5, "a15"), lines("a", 16, 25)), 0},
		{"a timer that runs too late", func(b *bench) {
			b.send("a", 11)
			b.pass(time.Minute, true)
			b.send("a", 11) // the first ends the minute
			b.timers[0].f()
		}, slices.Concat(lines("a", 1, 10), more(1, "a11"), lines("a", 12, 20)), 1},
		{"stop", func(b *bench) { b.send("a", 13); b.Stop(); b.Stop() },
			slices.Concat(lines("a", 1, 10), more(3, "a13")), 0},
		{"stop with nothing to say", func(b *bench) { b.send("a", 10); b.Stop() }, lines("a", 1, 10), 0},
		{"no timer after stop", func(b *bench) { b.Stop(); b.send("a", 13) }, lines("a", 1, 10), 0},
		{"after stop", func(b *bench) { b.Stop(); b.send("a", 13); b.pass(time.Minute, false); b.Stop() },
			slices.Concat(lines("a", 1, 10), more(3, "a13")), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench()
			tc.do(b)
			if !slices.Equal(b.lines, tc.want) {
				t.Errorf("got %q, want %q", b.lines, tc.want)
			}
			if got := b.running(); got != tc.timers {
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
	if got := b.running(); got != 1 {
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
