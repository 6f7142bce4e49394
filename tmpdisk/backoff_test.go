// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"slices"
	"sync"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	var b backoff
	var got []time.Duration
	for range 9 {
		got = append(got, b.next()/time.Second)
	}
	want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60}
	if !slices.Equal(got, want) {
		t.Errorf("pauses in seconds: got %d, want %d", got, want)
	}
	b.reset()
	if d := b.next(); d != firstPause {
		t.Errorf("pause after reset: got %v, want %v", d, firstPause)
	}
}

// fakeClock stands still until it is advanced.
type fakeClock struct {
	mu     sync.Mutex
	now    time.Time
	timers []*fakeTimer
}

type fakeTimer struct {
	clock *fakeClock
	at    time.Time
	f     func()
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) AfterFunc(d time.Duration, f func()) timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	tm := &fakeTimer{c, c.now.Add(d), f}
	c.timers = append(c.timers, tm)
	return tm
}

func (tm *fakeTimer) Stop() bool {
	tm.clock.mu.Lock()
	defer tm.clock.mu.Unlock()
	before := len(tm.clock.timers)
	tm.clock.timers = slices.DeleteFunc(tm.clock.timers, func(o *fakeTimer) bool { return o == tm })
	return len(tm.clock.timers) < before
}

// advance moves the clock and runs what is due, in the caller's goroutine.
func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	c.now = c.now.Add(d)
	var due []func()
	c.timers = slices.DeleteFunc(c.timers, func(tm *fakeTimer) bool {
		if tm.at.After(c.now) {
			return false
		}
		due = append(due, tm.f)
		return true
	})
	c.mu.Unlock()
	for _, f := range due {
		f()
	}
}

// pauses are the times to go of all timers that run.
func (c *fakeClock) pauses() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	ds := []time.Duration{}
	for _, tm := range c.timers {
		ds = append(ds, tm.at.Sub(c.now))
	}
	return ds
}
