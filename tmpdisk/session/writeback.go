// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/overlay"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/writeback"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// askEvery is how often it is asked whether all could be written that clients have
// written, who are connected. With Options.Sync their flushes ask.
const askEvery = 5 * time.Minute

// askConnected asks about one disk after the other.
func (s *Sessions) askConnected() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return
	}
	var jobs []writeback.Job
	for _, mine := range s.live {
		jobs = append(jobs, writeback.Job{Key: mine.key, Seen: mine.seen, Open: mine.reopen, Failed: s.failedIn(mine.key)})
	}
	s.writeback.Round(jobs)
}

// askLater asks about a disk that waits now. fd is one of its descriptors.
func (s *Sessions) askLater(mine *session, fd int) {
	if !s.writeback.Add(writeback.Job{Key: mine.key, Seen: mine.seen, FD: fd, Failed: s.failedIn(mine.key)}) {
		s.debugf(mine.key, "not asked whether all could be written: too many clients have left (ignored)")
	}
}

// reopen returns a descriptor of its own of a disk that clients have and have used, or -1.
// It was opened with the disk's, so the kernel tells of whatever it could not write since.
func (s *session) reopen() int {
	select {
	case <-s.ready:
	default:
		return -1
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claim == nil || s.ended || !s.used() {
		return -1
	}
	return s.duplicate()
}

// duplicate returns one more descriptor of the disk's open file, or -1. The disk must not
// be closed meanwhile.
func (s *session) duplicate() int {
	fd, _ := sys.Dup(s.claim.Disk.FD())
	return fd
}

// failedIn is for a disk of key that the filesystem failed: it could not write what it had
// taken. Whoever has the disk goes on with it and is told when it flushes. A disk that
// waits is lost.
func (s *Sessions) failedIn(key keep.Key) func(fd int, why error) {
	return func(fd int, why error) {
		for {
			s.mu.Lock()
			if s.stopped {
				s.mu.Unlock()
				return
			}
			mine := s.live[key]
			if mine == nil {
				mine = s.takeIdle(key)
				s.mu.Unlock()
				s.loseFailed(mine, fd, why)
				return
			}
			s.mu.Unlock()
			<-mine.ready
			if mine.fails(fd, why) {
				return
			}
			<-mine.gone
		}
	}
}

// fails notes that what clients have written is missing from the disk, if that is fd's
// file still. It returns false if the last client has left.
func (s *session) fails(fd int, why error) bool {
	own := s.reopen()
	if own < 0 {
		return false
	}
	defer unix.Close(own)
	if !sys.SameOpen(own, fd) {
		return true // it has got a fresh one meanwhile
	}
	held, err := s.claim.Fail()
	if !held {
		return false
	}
	if !s.failed.Swap(true) {
		s.tellFailed(s.key)
		s.logError(fmt.Sprintf("session %s: %v: %v. Its client's flushes fail from now on, and its disk is lost when the client leaves",
			s.key.Short(), keep.ErrUnwritten, why))
	}
	if err != nil {
		s.logError(fmt.Sprintf("session %s: its record does not say so: %v", s.key.Short(), err))
	}
	if s.sync {
		s.fail(why) // as a flush does that is told
	}
	return true
}

// loseFailed removes a disk that waits, whose key is in the caller's hands.
func (s *Sessions) loseFailed(mine *session, fd int, why error) {
	defer s.giveBack(mine)
	lost, err := s.dir.Fail(mine.key, fd)
	if lost || err != nil {
		s.opts.LogError(fmt.Sprintf("session %s: %v: %v", mine.key.Short(), keep.ErrUnwritten, errors.Join(why, err)))
		s.opts.Failed(mine.key)
	}
	if lost {
		s.isLost(mine.key)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if mine.waited {
		s.waiting.Push(mine.waiter)
	}
	s.schedule()
}

// syncConnected has the disk of clients who are connected, if it stands on a base, outlive a
// restart of the machine with what they have not flushed. A plain disk does so anyway.
func (s *Sessions) syncConnected(mine *session) {
	select {
	case <-mine.ready:
	default:
		return
	}
	c, err := mine.attach() // so it stays open
	if err != nil {         // nobody has it, or is to get it any more
		return
	}
	defer s.Close(c)
	if _, stands := mine.claim.Disk.(interface{ Base() *overlay.Base }); stands {
		err = mine.claim.Disk.Sync()
	}
	if writeback.Missing(err) {
		mine.fails(mine.claim.Disk.FD(), err)
	} else if err != nil {
		s.opts.LogError(fmt.Sprintf("session %s: what was not flushed may not outlive a restart of the machine: %v", mine.key.Short(), err))
	}
}
