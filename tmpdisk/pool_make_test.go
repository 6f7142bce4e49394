// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"errors"
	"fmt"
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
	b := newPoolBench(t, poolOptions{jobs: 2})
	first, second, third := b.join(), b.join(), b.join()
	m1, m2 := b.next(), b.next()
	if !b.broughtByFirst(m1) {
		m1, m2 = m2, m1
	}
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
	b := newPoolBench(t, poolOptions{jobs: 2})
	first, second, third := b.join(), b.join(), b.join()
	m1, m2 := b.next(), b.next()
	if !b.broughtByFirst(m1) {
		m1, m2 = m2, m1
	}
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

func TestPoolClientMeetsFailingSpare(t *testing.T) {
	b := newPoolBench(t, poolOptions{spares: 1, jobs: 1})
	b.start()
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
	firstLine := func(err error) string {
		line, _, _ := strings.Cut(err.Error(), "\n")
		return line
	}
	b := newPoolBench(t, poolOptions{spares: 3, jobs: 3, cause: firstLine})
	b.start()
	makes := []*fakeMake{b.next(), b.next(), b.next()}
	for _, m := range makes {
		m.fail(errFirst)
	}
	b.idle(0)
	var got []time.Duration
	for range 8 {
		got = append(got, b.clock.pauses()...)
		b.clock.advance(b.clock.pauses()[0] - 1)
		b.counts(0, 0)
		b.clock.advance(1)
		b.counts(1, 0) // one finds out, not three
		b.next().fail(fmt.Errorf("%w\n%p", errFirst, &got))
		b.idle(0)
	}
	want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}
	for i := range want {
		want[i] *= time.Second
	}
	if !slices.Equal(got, want) {
		t.Errorf("pauses: got %v, want %v", got, want)
	}
	if l := b.logged(); len(l) != 1 || !strings.HasSuffix(l[0], errFirst.Error()) {
		t.Errorf("log: got %q, want the cause once", l)
	}
	b.clock.advance(time.Minute)
	b.next().fail(errSecond)
	b.idle(0)
	if l := b.logged(); len(l) != 2 || !strings.HasSuffix(l[1], errSecond.Error()) {
		t.Errorf("log: got %q, want the new cause too", l)
	}
	for i := range 2 * maxCauses { // and no flood
		b.clock.advance(time.Minute)
		b.next().fail(fmt.Errorf("%d: %w", i, errFirst))
		b.idle(0)
		b.clock.advance(time.Minute)
		b.next().fail(errFirst)
		b.idle(0)
	}
	if l := b.logged(); len(l) != maxCauses {
		t.Errorf("log: got %d lines, want %d: %q", len(l), maxCauses, l)
	}
	b.clock.advance(time.Minute)
	b.next().ok(1)
	b.next().ok(2)
	b.next().ok(3)
	b.idle(3)
	if o := b.join().outcome(); o.err != nil {
		t.Fatalf("got %v, want a disk", o.err)
	}
	b.clock.advance(breath)
	b.next().fail(errSecond)
	b.idle(2)
	if p := b.clock.pauses(); !slices.Equal(p, []time.Duration{time.Second}) || len(b.logged()) != maxCauses+1 {
		t.Errorf("after a success: got pauses %v, log %q, want it all from the start", p, b.logged())
	}
}

func TestPoolRoom(t *testing.T) {
	var full atomic.Bool
	b := newPoolBench(t, poolOptions{spares: 2, jobs: 2, room: func() error {
		if full.Load() {
			return errors.New("TMPDIR: no room")
		}
		return nil
	}})
	full.Store(true)
	b.start()
	b.idle(0)
	// A client tries even so, and its disk does not bring spares back.
	c := b.join()
	b.next().ok(1)
	c.wants(1)
	b.idle(0)
	b.clock.advance(b.clock.pauses()[0])
	b.idle(0)
	if l := b.logged(); len(l) != 1 || !strings.HasSuffix(l[0], "TMPDIR: no room") || len(b.makes) != 0 {
		t.Fatalf("got log %q and %d makers, want one line and none", l, len(b.makes))
	}
	full.Store(false)
	b.clock.advance(b.clock.pauses()[0])
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
			p := newPool(poolOptions{jobs: 1}, func(context.Context) (*fakeDisk, error) {
				if calls.Add(1) == 1 {
					tt.how()
				}
				return &fakeDisk{}, nil
			})
			defer p.stop()
			if _, err := p.get(context.Background()); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("its client: got %v, want an error that says %q", err, tt.want)
			}
			if _, err := p.get(context.Background()); err != nil {
				t.Errorf("next client: got %v, want a disk", err)
			}
		})
	}
}
