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
	// causes of failures logged since spares could last be made; empty when
	// they can. Makers that fail side by side for one reason, a full disk,
	// may put it differently, in turns. Beyond maxCauses the log has enough.
	causes map[string]bool
	noRoom bool // that failure was opts.room's
}

const maxCauses = 10

// failed books a spare that was not made in a round; the answer is the line
// for the log, "" if that has said so before.
func (r *refill) failed(opts poolOptions, round int, err error, resume func(round int)) (news string) {
	if round == r.round {
		r.clear()
		r.paused = true
		next := r.round
		r.timer = opts.clock.AfterFunc(r.backoff.next(), func() { resume(next) })
	}
	var none *noRoomError
	r.noRoom = errors.As(err, &none)
	if cause := opts.cause(err); !r.causes[cause] && len(r.causes) < maxCauses {
		if r.causes == nil {
			r.causes = map[string]bool{}
		}
		r.causes[cause] = true
		return fmt.Sprintf("spare disk not made, trying again after %s, then ever less often: %v",
			r.backoff.pause, err)
	}
	return ""
}

// worked books a disk that was made and says whether that ends a failure. A
// client's disk says nothing about room for spares.
func (r *refill) worked(spare bool) bool {
	if len(r.causes) == 0 || r.noRoom && !spare {
		return false
	}
	r.clear()
	r.backoff.reset()
	r.causes, r.noRoom = nil, false
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
