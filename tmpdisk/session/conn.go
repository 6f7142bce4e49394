// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"errors"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// Gate gives the word that every request passes, and the bits that those that
// read and those that modify look for. What else enters must add 1 to the word,
// see the bit in the value before or after, and subtract 1 when it has ended, or
// at once if the bit was clear.
//
// write is 0, which is never set, where a request that modifies must come to the
// methods below, because the disk is the server's for a time only.
func (c *Conn) Gate() (word *atomic.Uint64, read, write uint64) {
	if c.session.held.lease != nil {
		return &c.gate.word, mayRead, 0
	}
	return &c.gate.word, mayRead, mayWrite
}

// Size is the disk's, in bytes: what it was when the session began.
func (c *Conn) Size() int64 { return c.disk.Size() }

// Disk is the disk behind c, for what is not a request.
func (c *Conn) Disk() Disk { return c.disk }

// Shared reports whether all connections to the session see one disk.
func (c *Conn) Shared() bool { return c.session.policy.Conflict == Share }

// Key is the session's.
func (c *Conn) Key() Key { return c.session.key }

// Fenced reports whether the session has gone over to a later connection: c's
// requests fail with ErrFenced.
func (c *Conn) Fenced() bool { return c.fenced.Load() }

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
		for !c.gate.enter(bit) {
			if c.gate.shut() {
				return c.refusal()
			}
			if err := c.session.admit(c); err != nil {
				return err
			}
		}
		if bit != mayWrite || c.session.held.lease.holds() {
			return nil
		}
		c.gate.leave() // a look may take long
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

// modify carries out a request by way of do, for one piece after the other.
func (c *Conn) modify(count, off, step uint64, fua bool, do func(count, off uint64) error) error {
	if c.session.held.lease == nil {
		step = count
	}
	for count > step {
		if err := c.modifyPiece(step, off, false, do); err != nil {
			return err
		}
		count, off = count-step, off+step
	}
	return c.modifyPiece(count, off, fua, do)
}

func (c *Conn) modifyPiece(count, off uint64, fua bool, do func(count, off uint64) error) error {
	if err := c.enter(mayWrite); err != nil {
		return err
	}
	defer c.gate.leave()
	return c.modified(do(count, off), fua)
}

// modified is for what a request that modifies has come to. With fua it is to be
// kept.
func (c *Conn) modified(err error, fua bool) error {
	switch s := c.session; {
	case err == nil && fua:
		err = s.flush()
	case err != nil && (s.sync && lost(err) || s.held.lease != nil && unreachable(err)):
		s.fail(err)
	}
	return known(err)
}

// lost reports whether the filesystem may have lost what it had taken.
func lost(err error) bool { return errors.Is(err, unix.EIO) || errors.Is(err, unix.ESTALE) }

// flush makes what was written outlive the machine, where that was asked for.
func (s *session) flush() error {
	if !s.sync {
		return nil
	}
	if err := s.held.disk.Sync(); err != nil {
		// The kernel tells of a page that it could not write only once.
		s.fail(err)
		return err
	}
	if err := s.keeper.newest(s.held); err != nil {
		if !scarce(err) && !errors.Is(err, errElsewhere) { // which may only look
			s.fail(err)
		}
		return err
	}
	if s.broken.Load() { // another flush was told of the page
		return errBroken
	}
	return nil
}

// scarce reports whether this server, and not the filesystem, was short of
// something, which says nothing of the disk.
func scarce(err error) bool {
	return errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM)
}

// PRead is the disk's, as are the methods below, unless the connection is fenced
// or the disk has failed.
func (c *Conn) PRead(buf []byte, off uint64) error {
	if err := c.enter(mayRead); err != nil {
		return err
	}
	defer c.gate.leave()
	return known(c.disk.PRead(buf, off))
}

// PWrite returns after the data is on the server's own disk if fua is set and
// Options.Sync is. So do Trim and Zero.
func (c *Conn) PWrite(buf []byte, off uint64, fua bool) error {
	return c.modify(uint64(len(buf)), off, piece, fua, func(count, at uint64) error {
		return c.disk.PWrite(buf[at-off:][:count], at)
	})
}

func (c *Conn) Trim(count uint32, off uint64, fua bool) error {
	return c.modify(uint64(count), off, quickPiece, fua, func(count, at uint64) error {
		return c.disk.Trim(uint32(count), at)
	})
}

func (c *Conn) Zero(count uint32, off uint64, mayTrim, fast, fua bool) error {
	if c.session.held.lease != nil && !fast {
		// Only what is not quick takes more than one system call.
		if err := c.Zero(count, off, mayTrim, true, fua); !errors.Is(err, unix.EOPNOTSUPP) {
			return err
		}
	}
	step := uint64(piece)
	if fast {
		step = quickPiece
	}
	return c.modify(uint64(count), off, step, fua, func(count, at uint64) error {
		return c.disk.Zero(uint32(count), at, mayTrim, fast)
	})
}

// Flush is for all that any connection was told is written.
func (c *Conn) Flush() error {
	if err := c.enter(mayRead); err != nil {
		return err
	}
	defer c.gate.leave()
	return known(c.session.flush())
}

func (c *Conn) Extents(count uint32, off uint64, reqOne bool, add func(off, length uint64, hole bool) error) error {
	if err := c.enter(mayRead); err != nil {
		return err
	}
	defer c.gate.leave()
	c.session.asked.Store(true)
	return c.disk.Extents(count, off, reqOne, add)
}

func (c *Conn) Cache(count uint32, off uint64) error {
	if err := c.enter(mayRead); err != nil {
		return err
	}
	defer c.gate.leave()
	return c.disk.Cache(count, off)
}
