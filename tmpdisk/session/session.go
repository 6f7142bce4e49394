// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/files"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/gate"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/order"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/visit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/writeback"
)

// A Conn is one client's connection to a session. Requests may come from any
// number of goroutines at once; Sessions.Close must come after the last.
type Conn struct {
	session *session
	disk    disk.Interface
	gate    gate.Gate
	fenced  atomic.Bool // by a later connection
}

// session is one that clients are connected to, or are about to be.
type session struct {
	key      keep.Key
	policy   Policy
	sync     bool
	claim    *files.Claim // once ready
	logError func(string)

	tellFailed func(keep.Key)
	seen       *writeback.Seen // of the disk

	waiter order.Waiter // that it was, if it has waited
	waited bool
	known  bool // there was such a session, as far as this server knows

	client visit.Visit // of whoever began it

	// Closed when the disk is there, or cannot be had (ended is then set), and
	// when the session is no longer in anybody's hands.
	ready, gone chan struct{}

	mu    sync.Mutex
	conns []*Conn // in order of arrival; fenced ones too
	ended bool    // takes no more connections

	// asked says that a client knows something of the disk that Disk.Touched
	// does not count: where it has data.
	asked atomic.Bool
	// broken is set for good when nothing may be written any more; overtaken
	// says that the disk is another server's, or whoever's can reach it.
	broken, overtaken atomic.Bool
	// failed is set for good when the filesystem could not write what a client had
	// written. Without sync, clients go on.
	failed atomic.Bool
}

// ErrFenced is what requests of a fenced connection fail with.
var ErrFenced = fmt.Errorf("the session has gone over to a later connection: %w", unix.ESHUTDOWN)

// errEnded says that the session is to be looked for once more.
var errEnded = errors.New("the session has ended")

// attach connects one more client.
func (s *session) attach() (*Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.ended:
		return nil, errEnded
	case s.broken.Load():
		return nil, fmt.Errorf("session %s: %w", s.key.Short(), errBroken)
	case s.failed.Load():
		return nil, &keep.LostError{Key: s.key, Reason: keep.Failed}
	}
	c := &Conn{session: s, disk: s.claim.Disk}
	bits := gate.MayRead
	if s.policy.Share || len(s.conns) == 0 {
		bits |= gate.MayWrite
	}
	c.gate.Open(bits)
	s.conns = append(s.conns, c)
	return c, nil
}

// used reports whether a client may know anything of what is on the disk.
func (s *session) used() bool {
	return s.claim.Used || s.claim.Disk.Touched() || s.asked.Load()
}

// detach reports whether c was the last one, and so ends the session.
func (s *session) detach(c *Conn) (last bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.conns, c)
	if i < 0 {
		return false
	}
	c.gate.Close() // no late request finds what may be another's descriptor by then
	s.conns = slices.Delete(s.conns, i, i+1)
	s.ended = len(s.conns) == 0
	return s.ended
}

// admit lets c modify the disk, once nobody older does any more.
func (s *session) admit(c *Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.broken.Load() || c.gate.Shut() {
		return c.refusal()
	}
	older := s.conns[:slices.Index(s.conns, c)]
	for _, o := range older {
		o.fenced.Store(true) // first: it says why the gate is shut
		o.gate.Close()
	}
	for _, o := range older {
		o.gate.Drain()
	}
	if s.broken.Load() { // in the last of their requests
		return errBroken
	}
	c.gate.Open(gate.MayWrite)
	return nil
}

var errBroken = fmt.Errorf("the session's disk has failed, or is another server's now: %w", unix.ESHUTDOWN)

// fail keeps everybody from the disk, for good. It is called in the middle of a
// request, for which somebody with the lock may be waiting.
func (s *session) fail(why error) {
	if errors.Is(why, keep.ErrOvertaken) || s.claim.Lease != nil && keep.CutOff(why) {
		s.overtaken.Store(true)
	}
	if s.broken.Swap(true) {
		return
	}
	s.logError(fmt.Sprintf("session %s: its connections are cut off: %v", s.key.Short(), why))
	if !s.overtaken.Load() {
		s.claim.Fail() // nbdkit may end without a Close, which loses the disk
	}
	go func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, c := range s.conns {
			c.gate.Close()
		}
	}()
}
