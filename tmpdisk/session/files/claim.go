// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/overlay"
	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/basis"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/files/names"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// A Claim is an open, locked disk and its record. As long as one server has it, no
// other one serves the disk.
type Claim struct {
	Key keep.Key
	// Disk is nil until the session is this server's.
	Disk  disk.Interface
	Lease *keep.Lease // nil where no other machine can have the disk
	// Used says that a client may know what is on the disk, even if none has used it
	// since it was opened.
	Used bool

	dir    *Dir
	at     *privdir.Dir  // has the files; until:
	leave  sync.Once     // by Close
	file   *os.File      // the disk, until Disk is there
	record record.Record // as this server read or wrote it last
	unread error         // why there is no record; nil if there is
	others bool          // another server had the session last
	base   *overlay.Base // what the disk stands on, until stand has put them together; or nil

	changing sync.Mutex // held while the record changes of a session that clients have
	over     bool       // the claim is being given up. With changing
	failed   bool       // Fail was called. With changing
	noted    bool       // the record says so. With changing
}

// claim opens and locks the disk of key, and reads its record. The error wraps ENOENT
// if there is no disk, and ErrElsewhere if it stays locked.
func (d *Dir) claim(ctx context.Context, key keep.Key, patience time.Duration) (*Claim, error) {
	p, err := d.private(false)
	if err != nil {
		return nil, err
	}
	c := &Claim{Key: key, dir: d, at: p}
	err = privdir.UntilFree(ctx, patience, func() (err error) {
		c.file, err = p.Lock(names.Disk(key), unix.O_RDWR)
		return err
	})
	if err != nil {
		p.Close()
		if errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, privdir.ErrReplaced) {
			err = fmt.Errorf("session %s: %w, and nobody can take it from a client that is connected there", key.Short(), keep.ErrElsewhere)
		}
		return nil, err
	}
	c.record, c.unread = record.Load(p, key)
	return c, nil
}

// Close closes the disk, and gives back its lock. Nothing is written.
func (c *Claim) Close() error {
	// The caller may have duplicates of the descriptor, which would keep the lock.
	unix.Flock(c.fd(), unix.LOCK_UN)
	c.release()
	defer c.leave.Do(c.at.Close)
	if c.Disk != nil {
		return c.Disk.Close()
	}
	return c.file.Close()
}

func (c *Claim) fd() int {
	if c.Disk != nil {
		return c.Disk.FD()
	}
	return int(c.file.Fd())
}

func (c *Claim) diskPath() string { return c.at.Join(names.Disk(c.Key)) }

// verdict says whether the disk may be served. It is ErrUnknown for a disk that was
// never a client's, and a *LostError for one that is lost. What is damaged stays where
// it is until its grace is over: somebody may want to look at it.
func (c *Claim) verdict() error {
	var st unix.Stat_t
	if err := unix.Fstat(c.fd(), &st); err != nil {
		return fmt.Errorf("fstat: %s: %w", c.diskPath(), err)
	}
	r := &c.record
	failed, _ := c.dir.failed.Load(r.Key)
	bad, _ := failed.(uint64) // a record that is torn may have an earlier generation
	switch {
	case errors.Is(c.unread, unix.ENOENT):
		return c.withoutRecord()
	case errors.Is(c.unread, record.ErrDamaged):
		return c.damaged(c.unread.Error())
	case c.unread != nil:
		return c.unread
	case r.Lost == keep.Damaged, r.Lost != "" && r.Torn: // it was away then, or may be back
		return c.damaged(c.at.Join(record.FileName(c.Key)) + ": a note that may be out of date")
	case r.Lost != "": // whoever wrote so died before it removed the disk
		return c.lose(r.Lost)
	case r.Generation <= bad:
		return c.lose(keep.Failed)
	case c.dir.server.Boot == "" && !r.Sync:
		return fmt.Errorf("session %s: find out whether the machine has crashed since it was written: no %s: mount /proc", c.Key.Short(), bootFile)
	case r.Boot != c.dir.server.Boot && !r.Sync:
		return c.lose(keep.Crashed)
	case st.Size != basis.FileSize(r):
		return c.damaged(fmt.Sprintf("%s: has %d bytes, not %d", c.diskPath(), st.Size, basis.FileSize(r)))
	}
	return nil
}

// withoutRecord is the verdict on a disk that has none. If its temporary name is still
// there, its maker died before anybody was told.
func (c *Claim) withoutRecord() error {
	temp, err := names.TempOf(c.at, c.Key, c.fd())
	if err != nil {
		return err
	}
	if temp != "" {
		return errors.Join(keep.ErrUnknown, c.dir.naming.Remove(c.at, c.dir.shared.Load(), c.Key), c.at.Remove(temp))
	}
	return c.damaged(c.unread.Error())
}

func (c *Claim) damaged(why string) error {
	return &keep.LostError{Key: c.Key, Reason: keep.Damaged, Detail: why, Kept: true}
}

// take makes the session this server's.
func (c *Claim) take() error {
	d, r := c.dir, c.record
	r.Crashed = c.base != nil && c.dir.server.MayHaveCrashed(&c.record) // until stand has put that right
	if d.opts.Sync && !r.Sync {
		if err := basis.Sync(c.fd(), c.base, &r, d.opts.Debug); errors.Is(err, overlay.ErrMap) {
			return err
		} else if err != nil { // of which the kernel tells only once
			d.opts.LogError(fmt.Sprintf("sync: %s: %v", c.diskPath(), err))
			return c.lose(keep.Failed)
		}
	}
	opened, err := disk.FromFile(c.file, d.opts.Debug)
	if err != nil {
		return err
	}
	before := c.record
	c.Disk, c.Used, c.others = opened, true, before.Server != d.server.Name
	r.Unsettled = d.shared.Load() && (r.Unsettled || r.Connected)
	r.Generation++
	r.Connected, r.Orphaned = true, false
	d.server.Stamp(&r)
	err = record.Update(c.at, &r, c.unchanged)
	if sys.NoRoom(err) && !d.shared.Load() && before.Sync == r.Sync && !r.Crashed {
		// It waits as far as others see, but nobody gets its lock.
		d.opts.LogError(fmt.Sprintf("session %s: resumed without a note, for which there is no room: if this server is killed, "+
			"the disk has waited since its client left before: %v", c.Key.Short(), err))
		return nil
	}
	if err != nil {
		return err
	}
	c.record = r
	names.Mended(c.at, c.Key)
	if r.Unsettled {
		d.tookOver(&r, &before)
	}
	c.Lease = d.newLease()
	return nil
}

// findBase opens what the disk stands on, if it does.
func (c *Claim) findBase() (err error) {
	c.base, err = basis.Find(c.at, &c.record, c.dir.opts.Debug, c.dir.opts.LogError)
	return err
}

// stand puts the disk, which nobody else modifies any more, and its base together.
func (c *Claim) stand() (err error) {
	if c.base != nil {
		defer c.release()
		c.Disk, err = basis.Stand(c.Disk, c.base, &c.record, c.dir.opts.Sync)
	}
	if err == nil && c.record.Crashed {
		r := c.record
		r.Crashed = false
		if err = record.Update(c.at, &r, c.isOurs); err == nil {
			c.record = r
		}
	}
	return err
}

// release is for a base that is not needed, or that the disk has.
func (c *Claim) release() {
	if c.base != nil {
		c.base.Release()
		c.base = nil
	}
}

// unchanged fails if another server has written the record since c read it.
func (c *Claim) unchanged(now record.Record) error {
	if now.Generation != c.record.Generation || now.Server != c.record.Server || now.Lost != c.record.Lost {
		return fmt.Errorf("session %s: %w", c.Key.Short(), keep.ErrElsewhere)
	}
	return nil
}

// begin writes that the grace begins now, so that it does not begin anew at the next
// look: the server of the client that had the disk is dead, or nobody knows how long ago
// that client left. If that fails, the next look does it.
func (c *Claim) begin() {
	r := c.record
	now := c.dir.opts.Clock.Now().UTC()
	if c.isOrphan() {
		r.Orphaned, r.Used = true, now
	} else if r.Used.After(now) {
		r.Used = now // else it would not age
	}
	r.Crashed = r.BaseIs != "" && c.dir.server.MayHaveCrashed(&c.record)
	r.Boot, r.Uptime, r.Torn = c.dir.server.Boot, c.dir.opts.Clock.SinceBoot(), false
	if err := record.Update(c.at, &r, c.unchanged); err != nil {
		c.dir.opts.Debug(fmt.Sprintf("session %s: %v (ignored)", c.Key.Short(), err))
		return
	}
	c.record = r
}

// isOrphan reports whether a client had the disk when its server died, and nobody has
// written so yet.
func (c *Claim) isOrphan() bool {
	return c.unread == nil && c.record.Connected && !c.record.Orphaned && c.record.Lost == ""
}

// lose leaves a note in place of the disk. The error is a *LostError, or says why that
// was not possible: then the disk stays.
func (c *Claim) lose(why keep.Reason) error {
	note := c.record
	note.Key, note.Lost = c.Key, why
	c.dir.server.Stamp(&note)
	var err error
	late := false // there is no room for the note before the disk has gone
	switch {
	case c.unread == nil && c.record.Lost == why: // the note is there
		err = c.still()
	case c.unread == nil:
		if err = c.still(); err == nil {
			err = record.Update(c.at, &note, c.unchanged)
		}
		if late = sys.NoRoom(err); late { // a record without a disk is as good
			err = nil
		}
	default:
		err = record.Replace(c.at, &note, c.still)
		if sys.NoRoom(err) {
			// The disk that is to go has all the room that its note needs.
			if err = c.still(); err == nil {
				err = unix.Ftruncate(c.fd(), 0)
			}
			if err == nil {
				err = record.Replace(c.at, &note, c.still)
			}
		}
	}
	if err != nil {
		return err
	}
	c.dir.opts.LogError(fmt.Sprintf("session %s: its disk %s is removed: %s", c.Key.Short(), c.diskPath(), why))
	if err := c.dir.naming.Remove(c.at, c.dir.shared.Load(), c.Key); err != nil {
		if c.unread == nil && c.record.Lost == "" && !late { // the disk is its client's still
			back := c.record
			err = errors.Join(err, record.Update(c.at, &back, func(now record.Record) error {
				if now.Lost != why || now.Server != note.Server {
					return keep.ErrElsewhere
				}
				return nil
			}))
		}
		return err
	}
	if late {
		if err := record.Update(c.at, &note, c.unchanged); err != nil {
			c.dir.opts.Debug(fmt.Sprintf("session %s: %v (ignored)", c.Key.Short(), err))
		}
	}
	c.dir.forgetMarks(c.Key)
	return &keep.LostError{Key: c.Key, Reason: why}
}

// forgetMarks is for a session whose disk is gone, or another one than before.
func (d *Dir) forgetMarks(key keep.Key) {
	d.failed.Delete(key)
	d.takeovers.Delete(key)
}

// newLease returns nil where no other machine can have the disk.
func (d *Dir) newLease() *keep.Lease {
	if !d.shared.Load() {
		return nil
	}
	return keep.NewLease(d.opts.Clock)
}
