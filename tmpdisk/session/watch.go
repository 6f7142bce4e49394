// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import "errors"

// A lock that was lost stays lost while its client modifies nothing, and other
// servers drop what they find without one when its grace is over. So a server
// looks at all disks that it has on lease, often enough to have the lock again
// before that.

// watch begins to look at the disk of mine.
func (s *Sessions) watch(mine *session) {
	if l := mine.held.lease; l != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		s.watchOn(mine)
	}
}

// watchOn sets the timer for the next look. With the lease's lock.
func (s *Sessions) watchOn(mine *session) {
	mine.held.lease.stop = s.opts.after(max(mine.policy.Grace/3, leaseTime), func() { s.look(mine) })
}

// look looks at one disk at a time: of a filesystem that hangs, each would take a
// thread.
func (s *Sessions) look(mine *session) {
	s.looking.Lock()
	defer s.looking.Unlock()
	l := mine.held.lease
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.over || s.isStopped() {
		return
	}
	switch err := s.keeper.newest(mine.held); {
	case errors.Is(err, errOvertaken):
		mine.fail(err)
		return
	case err != nil:
		s.debugf(mine.key, "%v (ignored)", err)
	}
	s.watchOn(mine)
}

func (s *Sessions) isStopped() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopped
}

// end returns when nobody looks any more, and nobody will.
func (l *lease) end() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.stop()
}
