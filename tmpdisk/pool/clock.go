// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package pool

import "time"

// clock is the time as the pool sees it, so that tests need not wait for it.
type clock interface {
	Now() time.Time
	// AfterFunc runs f in its own goroutine once d has passed.
	AfterFunc(d time.Duration, f func()) timer
}

type timer interface{ Stop() bool }

type realClock struct{}

func (realClock) Now() time.Time { return time.Now() }

func (realClock) AfterFunc(d time.Duration, f func()) timer { return time.AfterFunc(d, f) }

// arm sets *t to a timer that, once d has passed, clears *t and calls f with
// mu. A timer that *t no longer holds by then does nothing. With mu.
func (p *Pool[T]) arm(t *timer, d time.Duration, f func()) {
	var own timer
	own = p.opts.clock.AfterFunc(d, func() {
		p.mu.Lock()
		defer p.unlock()
		if *t == own {
			*t = nil
			f()
		}
	})
	*t = own
}

// disarm stops and clears *t if it holds a timer. With mu.
func disarm(t *timer) {
	if *t != nil {
		(*t).Stop()
		*t = nil
	}
}
