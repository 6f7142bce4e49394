// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package pool

import (
	"slices"
	"sync"
	"time"
)

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
