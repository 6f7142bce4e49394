// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import "time"

// Waiting is a disk that waits for its client.
type Waiting struct {
	Key    Key
	Export string
	Size   int64     // in bytes
	Since  time.Time // when its client left, or its server was found dead
}

// What the caller is told of a key it is told by whoever has the key in hand, so
// that one call ends before the next begins, and before any Open of that key
// returns. told has the keys that it takes for waiting: Gone is for these only.

func (s *Sessions) tellWaits(key Key) {
	if s.tell(key, true) && s.opts.Waits != nil {
		s.opts.Waits(key)
	}
}

func (s *Sessions) tellFound(w Waiting) {
	if s.tell(w.Key, true) && s.opts.Found != nil {
		s.opts.Found(w)
	}
}

func (s *Sessions) tellGone(key Key) {
	if s.tell(key, false) && s.opts.Gone != nil {
		s.opts.Gone(key)
	}
}

// tell reports whether it is news that key waits, or no longer does.
func (s *Sessions) tell(key Key, waits bool) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.told[key] == waits {
		return false
	}
	if waits {
		s.told[key] = true
	} else {
		delete(s.told, key)
	}
	return true
}

// Space returns how many bytes of the server's filesystem the waiting disk of key
// takes. ok is false if none waits here. It waits for no other method.
func (s *Sessions) Space(key Key) (allocated uint64, ok bool) {
	s.mu.Lock()
	told := s.told[key]
	s.mu.Unlock()
	if !told {
		return 0, false
	}
	return s.keeper.space(key)
}
