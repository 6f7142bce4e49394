// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package testkit

import (
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// A Clock is a sys.Clock that stands still until a test lets time pass.
type Clock struct {
	mu     sync.Mutex
	now    time.Time
	timers []*timer // in the order in which they were set
}

type timer struct {
	at time.Time
	f  func()
}

// NewClock returns a clock on which it is 1e9 seconds after the epoch.
func NewClock() *Clock { return NewClockAt(time.Unix(1e9, 0)) }

// NewClockAt returns a clock on which it is now. Times of real files want time.Now.
func NewClockAt(now time.Time) *Clock { return &Clock{now: now} }

// Now implements sys.Clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// SinceBoot implements sys.Clock: the machine has been up since the epoch.
func (c *Clock) SinceBoot() time.Duration { return c.Now().Sub(time.Unix(0, 0)) }

// AfterFunc implements sys.Clock. Pass calls f.
func (c *Clock) AfterFunc(d time.Duration, f func()) (stop func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := &timer{c.now.Add(d), f}
	c.timers = append(c.timers, t)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.timers = slices.DeleteFunc(c.timers, func(o *timer) bool { return o == t })
	}
}

// Pass lets d pass, and returns when everything that was due has been done, in the
// caller's goroutine. What comes due earlier is done earlier.
func (c *Clock) Pass(d time.Duration) {
	c.Stall(d)
	for f := c.due(); f != nil; f = c.due() {
		f()
	}
}

// Stall lets d pass while all timers are late: what is due is done by the next Pass.
func (c *Clock) Stall(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// due takes out the first timer that is due; nil if none is.
func (c *Clock) due() func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.timers) == 0 {
		return nil
	}
	first := slices.MinFunc(c.timers, func(a, b *timer) int { return a.at.Compare(b.at) })
	if first.at.After(c.now) {
		return nil
	}
	c.timers = slices.DeleteFunc(c.timers, func(t *timer) bool { return t == first })
	return first.f
}

// Timers are the times to go of all timers, in the order in which they were set.
func (c *Clock) Timers() []time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	left := []time.Duration{}
	for _, t := range c.timers {
		left = append(left, t.at.Sub(c.now))
	}
	return left
}

// Awaits reports whether a timer is set by a function whose name, with that of its
// package, contains by: whether somebody waits there for time to pass.
func (c *Clock) Awaits(by string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.timers, func(t *timer) bool {
		return strings.Contains(runtime.FuncForPC(reflect.ValueOf(t.f).Pointer()).Name(), by)
	})
}

// Late returns what the timer that was set first would call, as if it had begun to
// just before it is stopped.
func (c *Clock) Late() func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.timers[0].f
}
