// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import "nbdkit-tmpdisk-plugin/tmpdisk/session/keep"

// Whoever has a key in hand tells the caller of it, so one call ends before the next
// begins, and before any Open of that key returns. told has the keys that the caller
// takes for waiting: Gone is called for these only.

func (s *Sessions) tellWaits(key keep.Key) {
	if s.tell(key, true) && s.opts.Waits != nil {
		s.opts.Waits(key)
	}
}

func (s *Sessions) tellFound(w keep.Waiting) {
	if s.tell(w.Key, true) && s.opts.Found != nil {
		s.opts.Found(w)
	}
}

func (s *Sessions) tellGone(key keep.Key) {
	if s.tell(key, false) && s.opts.Gone != nil {
		s.opts.Gone(key)
	}
}

// tell reports whether it is news that key waits, or no longer does.
func (s *Sessions) tell(key keep.Key, waits bool) (news bool) {
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
func (s *Sessions) Space(key keep.Key) (allocated uint64, ok bool) {
	s.mu.Lock()
	told := s.told[key]
	s.mu.Unlock()
	if !told {
		return 0, false
	}
	return s.dir.Space(key)
}
