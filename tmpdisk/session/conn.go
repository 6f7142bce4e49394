// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/overlay"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/gate"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/writeback"
)

// Gate gives the word that every request passes, and the bits that those that
// read and those that modify look for. What else enters must add 1 to the word,
// see the bit in the value before or after, and subtract 1 when it has ended, or
// at once if the bit was clear.
//
// write is 0, which is never set, where a request that modifies must come to Do,
// because the disk is the server's for a time only.
func (c *Conn) Gate() (word *atomic.Uint64, read, write uint64) {
	if c.session.claim.Lease != nil {
		return &c.gate.Word, gate.MayRead, 0
	}
	return &c.gate.Word, gate.MayRead, gate.MayWrite
}

// Size is the disk's, in bytes: what it was when the session began.
func (c *Conn) Size() int64 { return c.disk.Size() }

// Disk is the disk behind c, for what is not a request.
func (c *Conn) Disk() disk.Interface { return c.disk }

// Shared reports whether all connections to the session see one disk.
func (c *Conn) Shared() bool { return c.session.policy.Share }

// Key is the session's.
func (c *Conn) Key() keep.Key { return c.session.key }

// Fenced reports whether the session has gone over to a later connection: c's
// requests fail with ErrFenced.
func (c *Conn) Fenced() bool { return c.fenced.Load() }

// Failed reports whether the disk lacks what a client had written, as far as that is known.
func (c *Conn) Failed() bool {
	s := c.session
	return s.failed.Load() || s.broken.Load() && !s.overtaken.Load()
}

// refusal is what the requests of c fail with, whose gate is shut or whose disk
// has failed.
func (c *Conn) refusal() error {
	if !c.fenced.Load() && c.session.broken.Load() {
		return errBroken
	}
	return ErrFenced
}

// enter lets a request in that looks for bit.
func (c *Conn) enter(bit uint64) error {
	for {
		for !c.gate.Enter(bit) {
			if c.gate.Shut() {
				return c.refusal()
			}
			if err := c.session.admit(c); err != nil {
				return err
			}
		}
		if bit != gate.MayWrite || c.session.claim.Lease.Holds() {
			return nil
		}
		c.gate.Leave() // a look may take long
		if err := c.session.renew(); err != nil {
			return err
		}
	}
}

// A request to a disk that is the server's for a time only is carried out in
// pieces, in bytes, each of which the kernel is given in one go: it must not go on
// when that time is over, however long its beginning took.
const (
	piece      = 1 << 20
	quickPiece = 256 << 20 // where no data is moved
)

// Do carries out a request unless the connection is fenced or the disk has failed.
// What modifies with FUA returns after the data is on the server's own disk if
// Options.Sync is set. So does a flush, which is for all that any connection was told
// is written. Both fail once it is known that the filesystem could not write all of it.
func (c *Conn) Do(r disk.Request) error {
	switch {
	case c.session.claim.Lease == nil || !r.Op.Modifies():
		return c.piece(r)
	case r.Op == disk.Zero && !r.Has(disk.Fast):
		quick := r // takes one system call
		quick.Flags |= disk.Fast
		if err := c.pieces(quick, quickPiece); !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
	case r.Op != disk.Write:
		return c.pieces(r, quickPiece)
	}
	return c.pieces(r, piece)
}

// pieces carries out one piece after the other. Only the last one is flushed.
func (c *Conn) pieces(r disk.Request, size uint32) error {
	for r.Len() > uint64(size) {
		var first disk.Request
		first, r = r.Split(size)
		first.Flags &^= disk.FUA
		if err := c.piece(first); err != nil {
			return err
		}
	}
	return c.piece(r)
}

func (c *Conn) piece(r disk.Request) error {
	bit := gate.MayRead
	if r.Op.Modifies() {
		bit = gate.MayWrite
	}
	if err := c.enter(bit); err != nil {
		return err
	}
	defer c.gate.Leave()
	s := c.session
	if r.Op == disk.Extents {
		s.asked.Store(true)
	}
	err := c.disk.Do(r)
	switch {
	case err == nil && (r.Op == disk.Flush || r.Has(disk.FUA)):
		err = s.flush()
	case err != nil && r.Op.Modifies() && (s.sync && writeback.Lost(err) || s.claim.Lease != nil && keep.CutOff(err)):
		s.fail(err)
	}
	if err == nil || errors.Is(err, keep.ErrOvertaken) {
		return err
	}
	return fmt.Errorf("%w: %w", unix.EIO, err) // clients know no ENOENT
}

// flush makes what was written outlive the machine, where that was asked for.
func (s *session) flush() error {
	if s.failed.Load() {
		return fmt.Errorf("session %s: %w: %w", s.key.Short(), keep.ErrUnwritten, unix.EIO)
	}
	if !s.sync {
		return nil
	}
	if err := s.claim.Disk.Sync(); err != nil {
		if !errors.Is(err, overlay.ErrMap) { // which the next flush writes
			s.fail(err) // the kernel tells only once
		}
		return err
	}
	if err := s.answered(s.claim.Verify()); err != nil {
		return err
	}
	if s.broken.Load() { // another flush was told of the page
		return errBroken
	}
	return nil
}

// renew looks whether the session is this server's.
func (s *session) renew() error { return s.answered(s.claim.Lease.Renew(s.claim.Verify)) }

// answered ends the session if a look has found that it is another server's, or whoever's
// can reach it. Any other error of a look says nothing of the disk: it is the request's.
func (s *session) answered(err error) error {
	if errors.Is(err, keep.ErrOvertaken) || s.claim.Lease != nil && keep.CutOff(err) {
		s.fail(err)
	}
	return keep.Known(err)
}
