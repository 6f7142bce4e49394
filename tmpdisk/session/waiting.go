// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"errors"
	"fmt"
	"time"
)

// One timer is set to the first moment at which something is to be done, with what
// waits or with what is lost.

// schedule sets the timer. With mu.
func (s *Sessions) schedule() {
	s.stop()
	if s.stopped || s.ticking { // a tick ends with this
		return
	}
	w, any := s.firstIdle(expires)
	next := w.until()
	if e, ok := s.lost.oldest(); ok {
		if forget := e.since.Add(s.opts.Forget); !any || forget.Before(next) {
			next, any = forget, true
		}
	}
	if any {
		s.stop = s.opts.after(max(next.Sub(s.opts.now()), 0), s.tick)
	}
}

// tick drops what has waited for too long, and forgets what is lost for long.
func (s *Sessions) tick() {
	s.mu.Lock()
	if s.ticking {
		s.mu.Unlock()
		return
	}
	s.ticking = true
	s.mu.Unlock()
	now := s.opts.now()
	for dropped := true; dropped; {
		_, dropped = s.dropOne(Expired, func() (waiter, bool) {
			w, ok := s.firstIdle(expires)
			return w, ok && !w.until().After(now)
		})
	}
	old := now.Add(-s.opts.Forget)
	s.forgetIf(old, func(e entry) bool { return !e.since.After(old) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ticking = false
	s.schedule()
}

// DropOldest drops the disk that has waited for the longest time, to make room.
// It returns what that frees, in bytes, now or soon; ok is false if none waits.
func (s *Sessions) DropOldest() (freed uint64, ok bool) {
	return s.dropOne(Evicted, func() (waiter, bool) { return s.firstIdle(came) })
}

func (s *Sessions) dropBeyond(limit int) {
	for dropped := true; dropped; {
		_, dropped = s.dropOne(Evicted, func() (waiter, bool) {
			if s.waiting.len() <= limit {
				return waiter{}, false
			}
			return s.firstIdle(came)
		})
	}
}

// leastPause is how long a disk that could not be dropped is left alone at least:
// its export may have no grace any more.
const leastPause = time.Second

// dropOne drops the disk that choose, which is called with mu, returns.
func (s *Sessions) dropOne(why Reason, choose func() (waiter, bool)) (freed uint64, ok bool) {
	s.mu.Lock()
	w, ok := choose()
	if !ok || s.stopped {
		s.mu.Unlock()
		return 0, false
	}
	s.waiting.remove(w.key)
	mine := s.takeIdle(w.key)
	s.mu.Unlock()

	defer s.giveBack(mine)
	freed, err := s.keeper.drop(w, why)
	var early *tooEarly
	switch {
	case errors.As(err, &early):
		s.notYet(w.key, early.grace, err)
		if early.waits != nil {
			s.tellFound(*early.waits)
		} else {
			s.tellGone(w.key)
		}
		return 0, true
	case scarce(err):
		s.notYet(w.key, w.grace, err)
		return 0, false
	case errors.Is(err, errElsewhere):
		s.debugf(w.key, "%v", err)
		s.tellGone(w.key)
		return 0, true
	case err != nil:
		freed = 0
		s.opts.LogError(fmt.Sprintf("session %s: %v", w.key.Short(), err))
	default:
		s.debugf(w.key, "dropped: %s", reasons[why])
	}
	s.isLost(w.key)
	return freed, true
}

// notYet has the disk of key, which is in the caller's hands, dropped later.
func (s *Sessions) notYet(key Key, grace time.Duration, why error) {
	s.debugf(key, "not dropped yet: %v", why)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting.push(key, s.opts.now(), max(grace, leastPause))
}

// firstIdle is the first in an order that nobody is just taking. With mu.
func (s *Sessions) firstIdle(before order) (waiter, bool) {
	return s.waiting.first(before, func(key Key) bool { return s.live[key] == nil })
}

// isLost notes that the disk of key, which is in the caller's hands, is gone.
func (s *Sessions) isLost(key Key) {
	s.mu.Lock()
	s.waiting.remove(key)
	if _, known := s.lost.at[key]; !known {
		s.lost.push(key, s.opts.now())
	}
	s.schedule()
	s.mu.Unlock()
	s.tellGone(key)
	s.forgetBeyond()
}

// anyTime is later than what any server's clock says.
var anyTime = time.Unix(1<<40, 0)

// forgetBeyond forgets what is lost and too much.
func (s *Sessions) forgetBeyond() {
	s.forgetIf(anyTime, func(entry) bool { return s.lost.len() > s.opts.maxLost })
}

// forgetIf forgets the oldest losses as long as the condition, which is called
// with mu, holds. A note that is from after before is another server's, and stays.
func (s *Sessions) forgetIf(before time.Time, condition func(entry) bool) {
	for {
		s.mu.Lock()
		e, ok := s.lost.oldest()
		if !ok || s.stopped || !condition(e) {
			s.mu.Unlock()
			return
		}
		if s.live[e.key] != nil { // somebody is just asking for it
			s.lost.push(e.key, s.opts.now())
			s.mu.Unlock()
			return
		}
		s.lost.remove(e.key)
		mine := s.takeIdle(e.key)
		s.mu.Unlock()
		if err := s.keeper.forget(e.key, before); err != nil {
			s.debugf(e.key, "%v (ignored)", err)
		}
		s.giveBack(mine)
	}
}

// takeIdle puts key into the caller's hands, until giveBack, to change what is
// known of it. Clients that come wait. With mu.
func (s *Sessions) takeIdle(key Key) *session {
	mine := s.take(key, Policy{}) // of which a drop needs nothing
	mine.ended = true
	close(mine.ready)
	s.drops.Add(1)
	return mine
}

func (s *Sessions) giveBack(mine *session) {
	s.mu.Lock()
	s.release(mine)
	s.mu.Unlock()
	s.drops.Done()
}

// forget makes key one that was never known.
func (s *Sessions) forget(key Key) error {
	s.mu.Lock()
	s.lost.remove(key)
	s.mu.Unlock()
	return s.keeper.forget(key, anyTime)
}
