// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package pool

import "time"

// A timer is one that runs.
type timer struct{ stop func() }

// arm sets *t to a timer that, once d has passed, clears *t and calls f with
// mu. A timer that *t no longer holds by then does nothing. With mu.
func (p *Pool[T]) arm(t **timer, d time.Duration, f func()) {
	own := &timer{}
	*t = own
	own.stop = p.opts.clock.AfterFunc(d, func() {
		p.mu.Lock()
		defer p.unlock()
		if *t == own {
			*t = nil
			f()
		}
	})
}

// disarm stops and clears *t if it holds a timer. With mu.
func disarm(t **timer) {
	if *t != nil {
		(*t).stop()
		*t = nil
	}
}
