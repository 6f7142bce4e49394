// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package clients

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// The rate in the long run is as given, however fast, even if sleeps are longer
// than asked for.
func TestRate(t *testing.T) {
	for _, tc := range []struct {
		l Limits
		n uint64 // bytes a request
	}{
		{Limits{Rate: 1}, 1},
		{Limits{Rate: 1}, 100},
		{Limits{Rate: 1000}, 512},
		{Limits{Rate: 10e6}, 4096},
		{Limits{Rate: 10e6}, 9e6}, // nearly the burst
		{Limits{Rate: 10e6}, 32 << 20},
		{Limits{Rate: 100e6}, 512},
		{Limits{Rate: 100e9}, 1 << 20},
		{Limits{IOPS: 1}, 4096},
		{Limits{IOPS: 7}, 0},
		{Limits{IOPS: 1e6}, 4096},
		{Limits{Rate: 4e6, IOPS: 10_000}, 4096},
		{Limits{Rate: 400e6, IOPS: 1000}, 4096},
	} {
		for _, depth := range []int{1, 16} {
			t.Run(fmt.Sprintf("%+v %d bytes depth %d", tc.l, tc.n, depth), func(t *testing.T) {
				s := newSim(t)
				s.over = func() time.Duration { return rand.N(time.Millisecond) }
				m := s.Meter("a", tc.l)
				c := costOf(m, tc.n)
				each := max(c.bytes, c.requests)
				for range int(burst / each) { // empty the bucket
					if err := m.Wait(tc.n, gone); err != nil {
						t.Fatal("got held back, want the burst")
					}
				}
				requests := int(max(20, min(5000, 1000*burst/each)))
				for range requests {
					for len(s.calls) >= depth {
						s.next(math.MaxInt64)
					}
					s.start(m, tc.n)
				}
				for s.next(math.MaxInt64) {
				}
				// Of a request that is larger than the burst, the rest is still owed.
				took := float64(s.now()) + s.owed("a") - burst
				if got := took / (float64(requests) * each); math.Abs(got-1) > 0.01 {
					t.Errorf("got %.3f of the time, want 1", got)
				}
			})
		}
	}
}

func TestFullRateAfterIdling(t *testing.T) {
	s := newSim(t)
	l := Limits{Rate: 1000}
	m, other := s.Meter("a", l), s.Meter("a", l)
	s.start(m, 3000) // more than the bucket, and at once
	held := s.start(other, 500)
	s.pass(2500*time.Millisecond - time.Millisecond)
	if held.ended >= 0 {
		t.Fatalf("got through at %v, want 2.5s", held.ended)
	}
	s.pass(10 * time.Second)
	if want := 2500 * time.Millisecond; held.ended != want {
		t.Errorf("got through at %v, want %v", held.ended, want)
	}
	for i := range 10 {
		if c := s.start(m, 100); c.ended < 0 {
			t.Errorf("request %d: got held back, want a second's worth at once", i)
		}
	}
	if c := s.start(m, 1); c.ended >= 0 {
		t.Error("got more than a second's worth")
	}
}

func TestWhatCounts(t *testing.T) {
	for _, tc := range []struct {
		name string
		l    Limits
		n    uint64
		held bool // behind a request of 100,000 bytes
	}{
		{"no limits", Limits{Disks: 1}, 1 << 40, false},
		{"bytes", Limits{Rate: 1000}, 1, true},
		{"a trim has no bytes", Limits{Rate: 1000}, 0, false},
		{"requests have room", Limits{IOPS: 2}, 1 << 40, false},
		{"one request too many", Limits{IOPS: 1}, 0, true},
		{"a trim does not wait for bytes", Limits{Rate: 1000, IOPS: 2}, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newSim(t)
			m := s.Meter("a", tc.l)
			if c := s.start(m, 100_000); c.ended < 0 {
				t.Fatal("got the first one held back")
			}
			if got := s.start(m, tc.n).ended < 0; got != tc.held {
				t.Errorf("got held back %v, want %v", got, tc.held)
			}
		})
	}
}

// A client that leaves while it waits costs the others nothing.
func TestGivesUp(t *testing.T) {
	s := newSim(t)
	l := Limits{Rate: 1000}
	m := s.Meter("a", l)
	s.start(m, 1000)
	ahead := s.start(m, 100)   // 0.1 s
	leaver := s.start(m, 1e9)  // 11 days more
	behind := s.start(m, 200)  // 0.3 s without it
	another := s.start(m, 1e9) // a full bucket, at 1.3 s
	s.pass(time.Millisecond)
	s.resume(leaver, errGone)
	if !errors.Is(leaver.err, errGone) {
		t.Errorf("got %v, want %v", leaver.err, errGone)
	}
	s.pass(time.Minute)
	for _, tc := range []struct {
		name string
		c    *call
		want time.Duration
	}{
		{"ahead", ahead, 100 * time.Millisecond},
		{"behind", behind, 300 * time.Millisecond},
		{"another", another, 1300 * time.Millisecond},
	} {
		if got := tc.c.ended; got != tc.want {
			t.Errorf("%s: got through at %v, want %v", tc.name, got, tc.want)
		}
	}
	if got := len(s.owners["a"].line.waiting); got != 0 {
		t.Errorf("got %d waiting, want none", got)
	}
}

// After a stall, in which no more than a burst is saved up, one that leaves does not
// hold back those behind it.
func TestGivesUpLate(t *testing.T) {
	s := newSim(t)
	m := s.Meter("a", Limits{Rate: 1000})
	s.start(m, 1000)
	leaver, first, second := s.start(m, 1000), s.start(m, 1000), s.start(m, 200)
	s.clock.Pass(3 * time.Second)
	s.resume(leaver, errGone)
	s.resume(first, nil)
	if first.ended != s.now() {
		t.Error("got the first one held back")
	}
	s.resume(second, nil)
	s.pass(time.Minute)
	if want := 3200 * time.Millisecond; second.ended != want {
		t.Errorf("got the second one through at %v, want %v", second.ended, want)
	}
}

// To connect again is no way round the limit.
func TestDebtOutlivesConnection(t *testing.T) {
	s := newSim(t)
	l := Limits{Rate: 1000}
	m := s.Meter("a", l)
	s.start(m, 3000)
	m.Close()
	s.pass(time.Second)
	c := s.start(s.Meter("a", l), 1000)
	s.pass(time.Minute)
	if want := 3 * time.Second; c.ended != want {
		t.Errorf("got through at %v, want %v", c.ended, want)
	}
}

// Times that no clock will see neither overflow nor let anybody pass.
func TestCenturies(t *testing.T) {
	s := newSim(t)
	m := s.Meter("a", Limits{Rate: 1})
	s.start(m, math.MaxUint32)
	var held []*call
	for range 4 {
		held = append(held, s.start(m, math.MaxUint32))
	}
	s.clock.Pass(1 << 60)
	for i, c := range held {
		s.resume(c, nil)
		if c.ended >= 0 {
			t.Errorf("request %d: got through", i)
		}
	}
}

func BenchmarkWait(b *testing.B) {
	for _, tc := range []struct {
		name string
		l    Limits
	}{
		{"without limits", Limits{}},
		{"with both", Limits{Rate: math.MaxUint64, IOPS: math.MaxInt64}},
	} {
		b.Run(tc.name, func(b *testing.B) {
			m := New().Meter("a", tc.l)
			defer m.Close()
			for range b.N {
				if err := m.Wait(4096, gone); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
