// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/order"
)

// One timer is set to the first moment at which something is to be done, with what
// waits or with what is lost.

// schedule sets the timer. With mu.
func (s *Sessions) schedule() {
	s.stop()
	if s.stopped || s.ticking { // a tick ends with this
		return
	}
	_, next, any := s.waiting.ByEnd.First()
	if _, since, ok := s.lost.First(); ok {
		if forget := since.Add(forgetAfter); !any || forget.Before(next) {
			next, any = forget, true
		}
	}
	if any {
		s.stop = s.opts.Clock.AfterFunc(max(next.Sub(s.opts.Clock.Now()), 0), s.tick)
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
	now := s.opts.Clock.Now()
	for tried := true; tried; {
		_, _, tried = s.dropFirst(keep.Expired, func() (keep.Key, bool) {
			key, until, ok := s.waiting.ByEnd.First()
			return key, ok && !until.After(now)
		})
	}
	old := now.Add(-forgetAfter)
	s.forgetIf(old, func(since time.Time) bool { return !since.After(old) })
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ticking = false
	s.schedule()
}

// touchEvery is far less than the age at which files of /var/tmp and the like are
// removed.
const touchEvery = 24 * time.Hour

// touch keeps the files of disks from looking old.
func (s *Sessions) touch() {
	s.mu.Lock()
	keys := slices.AppendSeq(slices.Collect(maps.Keys(s.waiting.All)), maps.Keys(s.live))
	s.mu.Unlock()
	for _, key := range keys {
		if err := s.dir.Touch(key); err != nil {
			s.debugf(key, "%v (ignored)", err)
		}
	}
}

// DropOldest drops the disk that has waited for the longest time, to make room. It
// returns what that frees, in bytes, now or soon; ok is false if none can be dropped, or
// all that wait have less than so many bytes.
func (s *Sessions) DropOldest(missing uint64) (freed uint64, ok bool) {
	all := uint64(0)
	for _, key := range s.tells.All() {
		if all < missing {
			space, _ := s.dir.Space(key)
			all += space
		}
	}
	if all < missing {
		return 0, false
	}
	return s.evict(0)
}

// evict drops the oldest disk if more than limit wait; or the next one, while one cannot
// be dropped.
func (s *Sessions) evict(limit int) (freed uint64, ok bool) {
	s.mu.Lock()
	tries := s.waiting.ByAge.Len()
	s.mu.Unlock()
	for range tries {
		freed, dropped, tried := s.dropFirst(keep.Evicted, func() (keep.Key, bool) {
			key, _, ok := s.waiting.ByAge.First()
			return key, ok && s.waiting.ByAge.Len() > limit
		})
		if dropped || !tried {
			return freed, dropped
		}
	}
	return 0, false
}

func (s *Sessions) dropBeyond(limit int) {
	for dropped := true; dropped; {
		_, dropped = s.evict(limit)
	}
}

const (
	// leastPause is how long a disk that could not be dropped is left alone at least:
	// its export may have no grace any more.
	leastPause = time.Second
	// mostPause is how long one is left alone at most that the filesystem does not let
	// go.
	mostPause = 5 * time.Minute
)

// dropFirst drops the disk of the key that choose, which is called with mu, returns.
// tried is false if there is none, and dropped is false if the disk is there still.
func (s *Sessions) dropFirst(why keep.Reason, choose func() (keep.Key, bool)) (freed uint64, dropped, tried bool) {
	s.mu.Lock()
	key, ok := choose()
	if !ok || s.stopped {
		s.mu.Unlock()
		return 0, false, false
	}
	w, _ := s.waiting.Take(key)
	mine := s.takeIdle(key)
	s.mu.Unlock()
	defer s.giveBack(mine)
	freed, err := s.dir.Drop(key, why, w.Version, w.Grace)
	gone := errors.Is(err, keep.ErrUnknown)
	switch {
	case gone && w.New:
	case gone, err == nil:
		s.debugf(key, "dropped: %s", why)
		s.isLost(key)
		return freed, true, true
	default:
		s.notYet(w, err)
	}
	return 0, false, true
}

// notYet has the disk of w, which could not be dropped, wait again.
func (s *Sessions) notYet(w order.Waiter, why error) {
	s.debugf(w.Key, "not dropped yet: %v", why)
	now := s.opts.Clock.Now()
	w.Since = now // else it would be the next to make room, at once
	w.Elsewhere = false
	var early *keep.NotYet
	switch {
	case errors.As(why, &early) && early.Waits != nil:
		w.Since, w.Version, w.Grace, w.New = early.Waits.Since, early.Waits.Version, early.Grace, false
		w.Until = w.Since.Add(w.Grace)
		s.tells.Found(*early.Waits)
	case early != nil:
		w.Until, w.Elsewhere = now.Add(early.Grace), true
		s.tells.Gone(w.Key)
	default:
		w.Until = now.Add(min(w.Grace, mostPause))
		if !w.Failed {
			s.opts.LogError(fmt.Sprintf("session %s: cannot be dropped, and is tried again: %v", w.Key.Short(), why))
		}
		w.Failed = true
	}
	if soonest := now.Add(leastPause); w.Until.Before(soonest) {
		w.Until = soonest
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting.Push(w)
	s.schedule()
}

// isLost notes that the disk of key, which is in the caller's hands, is gone.
func (s *Sessions) isLost(key keep.Key) {
	s.mu.Lock()
	s.waiting.Take(key)
	if !s.lost.Has(key) {
		s.lost.Push(key, s.opts.Clock.Now())
	}
	s.schedule()
	s.mu.Unlock()
	s.writeback.Forget(key)
	s.tells.Gone(key)
	s.forgetBeyond()
}

// forgetBeyond forgets what is lost and too much.
func (s *Sessions) forgetBeyond() {
	s.forgetIf(time.Time{}, func(time.Time) bool { return s.lost.Len() > s.opts.maxLost })
}

// forgetIf forgets the oldest losses as long as the condition, which is called with mu,
// holds. A note that is from after before stays.
func (s *Sessions) forgetIf(before time.Time, condition func(since time.Time) bool) {
	for {
		s.mu.Lock()
		key, since, ok := s.lost.First()
		if !ok || s.stopped || !condition(since) {
			s.mu.Unlock()
			return
		}
		if s.live[key] != nil { // somebody is just asking for it
			s.lost.Push(key, s.opts.Clock.Now())
			s.mu.Unlock()
			return
		}
		s.lost.Remove(key)
		mine := s.takeIdle(key)
		s.mu.Unlock()
		since, err := s.dir.Forget(context.Background(), key, before)
		if err != nil {
			s.debugf(key, "%v (ignored)", err)
		}
		s.mu.Lock()
		if !since.IsZero() { // it was made later
			s.lost.Push(key, since)
		}
		s.mu.Unlock()
		s.giveBack(mine)
	}
}

// takeIdle puts key into the caller's hands, until giveBack, to change what is known
// of it. Clients that come wait. With mu.
func (s *Sessions) takeIdle(key keep.Key) *session {
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

// Space returns how many bytes of the server's filesystem the waiting disk of key
// takes. ok is false if none waits here. It waits for no other method.
func (s *Sessions) Space(key keep.Key) (allocated uint64, ok bool) {
	if !s.tells.Has(key) {
		return 0, false
	}
	return s.dir.Space(key)
}
