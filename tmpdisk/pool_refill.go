// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"errors"
	"fmt"
)

// noRoomError wraps what opts.room said.
type noRoomError struct{ err error }

func (e *noRoomError) Error() string { return e.err.Error() }
func (e *noRoomError) Unwrap() error { return e.err }

// refill is what holds spares up: the last failure and the pause after it. The
// makers of one round, which ran side by side, lengthen the pause once. Under
// the pool's mu.
type refill struct {
	backoff backoff
	round   int
	paused  bool
	timer   timer
	cause   string // of the last failure logged; "" when spares can be made
	noRoom  bool   // that failure was opts.room's
}

// failed books a spare that was not made in a round; the answer is the line
// for the log, "" if it said the same before.
func (r *refill) failed(opts poolOptions, round int, err error, resume func(round int)) (news string) {
	if round == r.round {
		r.clear()
		r.paused = true
		next := r.round
		r.timer = opts.clock.AfterFunc(r.backoff.next(), func() { resume(next) })
	}
	var none *noRoomError
	r.noRoom = errors.As(err, &none)
	if cause := opts.cause(err); cause != r.cause {
		r.cause = cause
		return fmt.Sprintf("spare disk not made, trying again after %s, then ever less often: %v",
			r.backoff.pause, err)
	}
	return ""
}

// worked books a disk that was made and says whether that ends a failure. A
// client's disk says nothing about room for spares.
func (r *refill) worked(spare bool) bool {
	if r.cause == "" || r.noRoom && !spare {
		return false
	}
	r.clear()
	r.backoff.reset()
	r.cause, r.noRoom = "", false
	return true
}

// clear forgets the pause and begins a new round.
func (r *refill) clear() {
	r.round++
	r.paused = false
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
}
