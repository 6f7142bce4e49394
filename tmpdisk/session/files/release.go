// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package files

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/overlay"
	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/files/names"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/writeback"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Fail notes that the filesystem could not write what clients have written, who go on.
// The record says that the disk is lost, for whatever server finds it should this one be
// killed. held is false if the claim is being given up.
func (c *Claim) Fail() (held bool, err error) {
	c.changing.Lock()
	defer c.changing.Unlock()
	if c.over || c.failed {
		return !c.over, nil
	}
	c.failed = true
	r := c.record
	r.Lost = keep.Failed
	c.dir.server.Stamp(&r)
	err = record.Update(c.at, &r, c.isOurs)
	c.noted = err == nil
	if err != nil {
		c.dir.failed.Store(c.Key, c.record.Generation)
	}
	return true, err
}

// end returns when nobody changes the record any more but the caller.
func (c *Claim) end() {
	c.changing.Lock()
	defer c.changing.Unlock()
	c.over = true
	if c.noted {
		c.record.Lost = keep.Failed
	}
}

// Release lets the disk wait. The error wraps ErrUnwritten if the filesystem has failed
// the disk: then it must be abandoned. After any other error the disk stays.
func (c *Claim) Release() error {
	c.end()
	if c.failed {
		return keep.ErrUnwritten
	}
	var err error
	if _, stands := c.Disk.(*overlay.Disk); c.Lease != nil || stands && c.dir.opts.Sync {
		// The map of a disk on a base is to outlive a restart of the machine, if that is
		// no crash, with what was not flushed as well.
		//
		// What failed while this server was cut off may be sent once more when the
		// file is closed. Then the disk is not given back: whoever has it next waits,
		// and goes on with a copy.
		err = c.Disk.Sync()
		if writeback.Missing(err) {
			return fmt.Errorf("%w: %w", keep.ErrUnwritten, err)
		}
		if err == nil {
			err = c.Verify()
		}
	}
	if err == nil {
		r := c.record
		r.Connected = false
		c.dir.server.Stamp(&r)
		if err = record.Update(c.at, &r, c.isOurs); err == nil {
			c.record = r
		}
	}
	return errors.Join(err, c.Close())
}

// Version is that of the record.
func (c *Claim) Version() keep.Version { return c.record.Version() }

// Discard removes a disk that no client has used, and all that is known of it.
func (c *Claim) Discard() error {
	c.end()
	err := c.Verify()
	if err == nil {
		err = c.unpublish()
	}
	return errors.Join(err, c.Close())
}

// Abandon closes the disk. With a reason it is lost.
func (c *Claim) Abandon(why keep.Reason) error {
	c.end()
	var err error
	if why != "" {
		// A filesystem that fails may have let another server in meanwhile.
		if err = c.Verify(); err == nil {
			err = keep.Meant(c.lose(why))
		}
		if err != nil && !errors.Is(err, keep.ErrOvertaken) {
			c.dir.failed.Store(c.Key, c.record.Generation)
		}
	}
	return errors.Join(err, c.Close())
}

// Fail removes the disk of key, which nobody has, if it is the file that fd is: the
// filesystem has failed it. The error wraps ErrElsewhere if another server has it. After
// any other error it is there still, but is not resumed by this server.
func (d *Dir) Fail(key keep.Key, fd int) (lost bool, err error) {
	c, err := d.claim(context.Background(), key, patience)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, privdir.ErrNone) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer c.Close()
	if !sys.SameFile(c.at.FD(), names.Disk(key), fd) {
		return false, nil
	}
	if err = keep.Meant(c.lose(keep.Failed)); err != nil {
		d.failed.Store(key, c.record.Generation)
	}
	return err == nil, err
}

// Drop removes the disk of key, for a reason which becomes its note, if its record is of
// that version, and returns what that frees, in bytes. Else another
// server has the disk, or has had it since the caller began to count, and the error is a
// *keep.NotYet. It wraps ErrUnknown if nothing is there, nor a note. After any other error the
// disk is there still. grace is how long the caller would wait for that server.
func (d *Dir) Drop(key keep.Key, why keep.Reason, version keep.Version, grace time.Duration) (uint64, error) {
	c, err := d.claim(context.Background(), key, 0)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, privdir.ErrNone):
		return 0, keep.Meant(d.withoutDisk(context.Background(), key, false))
	case errors.Is(err, keep.ErrElsewhere): // that server may die, or only look
		return 0, &keep.NotYet{Grace: grace}
	case err != nil:
		return 0, err
	}
	defer c.Close()
	if err := c.early(version); err != nil {
		return 0, err
	}
	freed, _ := d.Space(key)
	return freed, keep.Meant(c.lose(why))
}

// early is a *keep.NotYet if the disk is not to be dropped now, or says why that cannot be
// known.
func (c *Claim) early(version keep.Version) error {
	d, r := c.dir, &c.record
	switch {
	case errors.Is(c.unread, unix.ENOENT), errors.Is(c.unread, record.ErrDamaged):
		return nil // there is nothing to go by but what the caller says
	case c.unread != nil:
		return c.unread
	case r.Lost != "":
		return nil // whoever wrote so died, or could not remove the disk
	case r.Version() != version:
		if c.isOrphan() || r.Torn {
			c.begin()
		}
		w := d.server.Waiting(r)
		if _, known := d.server.Age(r); !known {
			w.Since = d.opts.Clock.Now()
		}
		return &keep.NotYet{Grace: d.graceOf(r), Waits: w}
	}
	return nil
}

// Replace removes what there is of key, whose disk is lost, to make way for a fresh one.
func (d *Dir) Replace(ctx context.Context, key keep.Key) error {
	c, err := d.claim(ctx, key, patience)
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, privdir.ErrNone):
		_, err = d.Forget(ctx, key, time.Time{})
		return err
	case err != nil:
		return err
	}
	defer c.Close()
	if err = c.verdict(); err == nil {
		err = c.findBase()
	}
	if !errors.As(err, new(*keep.LostError)) {
		return errors.Join(err, errors.New("its disk is there"))
	}
	return c.unpublish()
}

// Forget removes the note of key. If before is not zero and the note was made later, as far
// as that is known, or is none, because a disk may come back, it stays, and since is when
// it may be forgotten for.
func (d *Dir) Forget(ctx context.Context, key keep.Key, before time.Time) (since time.Time, err error) {
	p, err := d.private(false)
	if errors.Is(err, privdir.ErrNone) {
		return since, nil
	}
	if err != nil {
		return since, err
	}
	defer p.Close()
	err = d.naming.With(ctx, p, d.shared.Load(), func() error {
		if there, err := names.Exists(p, names.Disk(key)); err != nil || there {
			return err // the session is there again
		}
		r, err := record.Load(p, key)
		if errors.Is(err, record.ErrNewer) {
			return err
		}
		if !before.IsZero() && err == nil {
			if since = d.opts.Clock.Now(); r.Lost != "" {
				since = names.NotedAt(p, key, &r, &d.server)
			}
			if since.After(before) {
				return nil
			}
		}
		since = time.Time{}
		return p.Remove(record.FileName(key))
	})
	return since, err
}
