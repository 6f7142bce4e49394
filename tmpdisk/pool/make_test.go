// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package pool

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var (
	errFirst  = errors.New("mkfs: exit code 1")
	errSecond = errors.New("mkfs: signal 9")
)

func TestPoolOneFailureFailsOneClient(t *testing.T) {
	b := newPoolBench(t, Options[*fakeDisk]{Jobs: NewJobs(2)})
	first, m1 := b.join(), b.next()
	second, m2 := b.join(), b.next()
	third := b.join()
	m2.fail(errSecond)
	if o := second.outcome(); o.err != errSecond {
		t.Fatalf("second client: got %+v, want %v", o, errSecond)
	}
	b.next().ok(3) // brought by the third, taken by the first
	first.wants(3)
	// What is left was the first one's. Its failure is not the third's: that
	// one is given another attempt.
	m1.fail(errFirst)
	b.next().ok(4)
	third.wants(4)
	b.idle(0)
}

func TestPoolClientKeepsItsPlaceForAnotherAttempt(t *testing.T) {
	b := newPoolBench(t, Options[*fakeDisk]{Jobs: NewJobs(2)})
	first, m1 := b.join(), b.next()
	second, m2 := b.join(), b.next()
	third := b.join()
	m2.ok(2) // brought by the second, taken by the first
	first.wants(2)
	b.next().fail(errSecond) // brought by the second again, before the third
	if o := second.outcome(); o.err != errSecond {
		t.Fatalf("second client: got %+v, want %v", o, errSecond)
	}
	m1.ok(1)
	third.wants(1)
	b.idle(0)
}

func TestPoolNewestSurplusIsCancelled(t *testing.T) {
	b := newPoolBench(t, Options[*fakeDisk]{Spares: 2, Jobs: NewJobs(3)})
	b.Start()
	spares := []*fakeMake{b.next(), b.next()}
	c, own := b.join(), b.next()
	c.cancel()
	c.outcome()
	if own.ctx.Err() == nil {
		t.Fatal("its own maker, the newest, was not cancelled")
	}
	for _, m := range spares {
		if m.ctx.Err() != nil {
			t.Error("an older maker was cancelled too")
		}
		m.ok(0)
	}
	b.idle(2)
}

func TestPoolClientMeetsFailingSpare(t *testing.T) {
	b := newPoolBench(t, Options[*fakeDisk]{Spares: 1, Jobs: NewJobs(1)})
	b.Start()
	spare := b.next()
	c := b.join()
	spare.fail(errFirst)
	b.next().fail(errSecond)
	if o := c.outcome(); o.err != errSecond {
		t.Errorf("client: got %+v, want its own error %v", o, errSecond)
	}
	b.idle(0)
	c = b.join()
	b.next().ok(7) // no pause for clients
	c.wants(7)
	b.next().ok(8) // and what works for a client ends the pause
	b.idle(1)
}

func TestPoolBackoff(t *testing.T) {
	b := newPoolBench(t, Options[*fakeDisk]{Spares: 3, Jobs: NewJobs(3)})
	b.Start()
	makes := []*fakeMake{b.next(), b.next(), b.next()}
	for _, m := range makes {
		m.fail(errFirst)
	}
	b.idle(0)
	var got []time.Duration
	for range 8 {
		got = append(got, b.clock.Timers()...)
		b.clock.Pass(b.clock.Timers()[0] - 1)
		b.counts(0, 0)
		b.clock.Pass(1)
		b.counts(1, 0) // one finds out, not three
		b.next().fail(errFirst)
		b.idle(0)
	}
	want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}
	for i := range want {
		want[i] *= time.Second
	}
	if !slices.Equal(got, want) {
		t.Errorf("pauses: got %v, want %v", got, want)
	}
	b.clock.Pass(time.Minute)
	b.next().fail(errSecond)
	b.idle(0)
	if l := b.logged(); len(l) != 1 || !strings.HasSuffix(l[0], errFirst.Error()) {
		t.Errorf("log: got %q, want the first failure only", l)
	}
	b.clock.Pass(time.Minute)
	b.next().ok(1)
	b.next().ok(2)
	b.next().ok(3)
	b.idle(3)
	if o := b.join().outcome(); o.err != nil {
		t.Fatalf("got %v, want a disk", o.err)
	}
	b.clock.Pass(breath)
	b.next().fail(errSecond)
	b.idle(2)
	if p := b.clock.Timers(); !slices.Equal(p, []time.Duration{time.Second}) || len(b.logged()) != 2 {
		t.Errorf("after a success: got pauses %v, log %q, want it all from the start", p, b.logged())
	}
}

func TestPoolRoom(t *testing.T) {
	var full atomic.Bool
	b := newPoolBench(t, Options[*fakeDisk]{Spares: 2, Jobs: NewJobs(2), Room: func() error {
		if full.Load() {
			return errors.New("TMPDIR: no room")
		}
		return nil
	}})
	full.Store(true)
	b.Start()
	b.idle(0)
	// A client tries even so, and its disk does not bring spares back.
	c := b.join()
	b.next().ok(1)
	c.wants(1)
	b.idle(0)
	b.clock.Pass(b.clock.Timers()[0])
	b.idle(0)
	if l := b.logged(); len(l) != 1 || !strings.HasSuffix(l[0], "TMPDIR: no room") || len(b.makes) != 0 {
		t.Fatalf("got log %q and %d makers, want one line and none", l, len(b.makes))
	}
	full.Store(false)
	b.clock.Pass(b.clock.Timers()[0])
	b.next().ok(2)
	b.next().ok(3)
	b.idle(2)
}

func TestPoolMakerDoesNotReturn(t *testing.T) {
	tests := []struct {
		name string
		how  func()
		want string
	}{
		{"panic", func() { panic("oops") }, "panic: oops"},
		{"goexit", runtime.Goexit, "did not return"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var calls atomic.Int32
			p := newPool(Options[*fakeDisk]{Jobs: NewJobs(1)}, func(context.Context) (*fakeDisk, error) {
				if calls.Add(1) == 1 {
					tt.how()
				}
				return &fakeDisk{}, nil
			})
			defer p.Stop()
			if _, err := p.Get(context.Background()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("its client: got %v, want an error that says %q", err, tt.want)
			}
			if _, err := p.Get(context.Background()); err != nil {
				t.Errorf("next client: got %v, want a disk", err)
			}
		})
	}
}
