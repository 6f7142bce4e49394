// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"errors"
	"fmt"
	"time"
)

// What waits, and what is lost, is in one line each, in the order of time. One
// timer is set to the first moment at which something is to be done.

// schedule sets the timer. With mu.
func (s *Sessions) schedule() {
	s.stop()
	if s.stopped {
		return
	}
	next, any := time.Time{}, false
	look := func(e entry, ok bool, d time.Duration) {
		if ok && (!any || e.since.Add(d).Before(next)) {
			next, any = e.since.Add(d), true
		}
	}
	e, ok := s.oldestIdle()
	look(e, ok, s.opts.Grace)
	e, ok = s.lost.oldest()
	look(e, ok, s.opts.Forget)
	if any {
		s.stop = s.opts.after(max(next.Sub(s.opts.now()), 0), s.tick)
	}
}

// tick drops what has waited for too long, and forgets what is lost for long.
func (s *Sessions) tick() {
	now := s.opts.now()
	for dropped := true; dropped; {
		_, dropped = s.dropIf(Expired, func(e entry) bool { return !e.since.Add(s.opts.Grace).After(now) })
	}
	old := now.Add(-s.opts.Forget)
	s.forgetIf(old, func(e entry) bool { return !e.since.After(old) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.schedule()
}

// DropOldest drops the disk that has waited for the longest time, to make room.
// It returns what that frees, in bytes, now or soon; ok is false if none waits.
func (s *Sessions) DropOldest() (freed uint64, ok bool) {
	return s.dropIf(Evicted, func(entry) bool { return true })
}

func (s *Sessions) dropBeyond(limit int) {
	for dropped := true; dropped; {
		_, dropped = s.dropIf(Evicted, func(entry) bool { return s.waiting.len() > limit })
	}
}

// dropIf drops the oldest disk that waits, if the condition, which is called with
// mu, holds.
func (s *Sessions) dropIf(why Reason, condition func(entry) bool) (freed uint64, ok bool) {
	s.mu.Lock()
	e, ok := s.oldestIdle()
	if !ok || s.stopped || !condition(e) {
		s.mu.Unlock()
		return 0, false
	}
	s.waiting.remove(e.key)
	mine := s.takeIdle(e.key)
	s.mu.Unlock()

	freed, err := s.keeper.drop(e.key, why)
	later := errors.Is(err, errTooEarly) || scarce(err) ||
		why == Expired && errors.Is(err, errElsewhere) // that server may die
	if later {
		s.mu.Lock()
		s.waiting.push(e.key, s.opts.now()) // for one more grace
		s.mu.Unlock()
	}
	s.giveBack(mine)
	switch {
	case later:
		s.debugf(e.key, "not dropped yet: %v", err)
		return 0, !scarce(err)
	case errors.Is(err, errElsewhere):
		s.debugf(e.key, "%v", err)
		return 0, true
	case err != nil:
		freed = 0
		s.opts.LogError(fmt.Sprintf("session %s: %v", e.key.Short(), err))
	default:
		s.debugf(e.key, "dropped: %s", reasons[why])
	}
	s.isLost(e.key)
	return freed, true
}

// oldestIdle is the first in line that nobody is just taking. With mu.
func (s *Sessions) oldestIdle() (entry, bool) {
	for el := s.waiting.order.Front(); el != nil; el = el.Next() {
		if e := el.Value.(entry); s.live[e.key] == nil {
			return e, true
		}
	}
	return entry{}, false
}

// isLost notes that the disk of key is gone.
func (s *Sessions) isLost(key Key) {
	s.mu.Lock()
	s.waiting.remove(key)
	if _, known := s.lost.at[key]; !known {
		s.lost.push(key, s.opts.now())
	}
	s.schedule()
	s.mu.Unlock()
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
	mine := s.take(key)
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
