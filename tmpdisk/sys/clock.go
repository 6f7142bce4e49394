// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"time"

	"golang.org/x/sys/unix"
)

// A Clock is the time as a package sees it. Tests have their own, testkit.Clock, so
// that they need not wait.
type Clock interface {
	// Now is the wall clock's time. As package time has it, the difference of two
	// is right even if somebody sets the clock between them.
	Now() time.Time

	// SinceBoot is a clock that nobody sets and that goes on while the machine
	// sleeps.
	SinceBoot() time.Duration

	// AfterFunc calls f in its own goroutine once d has passed, unless stop comes
	// first. f may still be running when stop returns.
	AfterFunc(d time.Duration, f func()) (stop func())
}

// ClockOr is c, or the machine's own clock if c is nil.
func ClockOr(c Clock) Clock {
	if c == nil {
		return realClock{}
	}
	return c
}

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) SinceBoot() time.Duration {
	var ts unix.Timespec
	if unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts) != nil {
		return 0 // cannot be: Linux has had it since 2.6.39
	}
	return time.Duration(ts.Nano())
}

func (realClock) AfterFunc(d time.Duration, f func()) func() {
	t := time.AfterFunc(d, f)
	return func() { t.Stop() }
}
