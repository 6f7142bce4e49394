// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package files

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/files/names"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Verify says whether the session is still this server's, and extends its lease if so.
// The error wraps ErrOvertaken if another server has it. It may be called at any time
// until the claim is given up.
func (c *Claim) Verify() error {
	began := c.Lease.Began()
	if c.Lease != nil {
		if err := c.relock(); err != nil {
			return err
		}
	}
	if err := c.ours(); err != nil {
		if c.Lease != nil && errors.Is(err, keep.ErrOvertaken) {
			// The lock was free when relock took it. The server that took the session
			// over may want it again.
			unix.Flock(c.fd(), unix.LOCK_UN)
		}
		return err
	}
	if c.Lease != nil {
		err := names.InPlace(c.at, c.Key, c.fd())
		if errors.Is(err, unix.ENOENT) {
			err = fmt.Errorf("%w: %w", err, keep.ErrOvertaken)
		}
		if err != nil {
			return err
		}
	}
	c.Lease.Extend(began)
	return nil
}

// ours fails if the record is not the one that this server wrote.
func (c *Claim) ours() error {
	now, err := record.LoadPatiently(c.at, c.Key)
	if err != nil {
		return err
	}
	if err := c.isOurs(now); err != nil {
		return err
	}
	if now.Orphaned {
		// Another server took this one for dead while it was cut off.
		c.changing.Lock()
		defer c.changing.Unlock()
		r := c.record
		if c.noted {
			r.Lost = keep.Failed
		}
		return record.Patiently(func() error { return record.Update(c.at, &r, c.isOurs) })
	}
	return nil
}

// isOurs fails if another server has written the record. Fail may have.
func (c *Claim) isOurs(now record.Record) error {
	if now.Torn {
		return fmt.Errorf("%s: %w: only one half is whole", c.at.Join(record.FileName(c.Key)), record.ErrDamaged)
	}
	if now.Generation != c.record.Generation || now.Server != c.record.Server || now.Lost != "" && now.Lost != keep.Failed {
		return fmt.Errorf("%s: generation %d, not %d: %w", c.at.Join(record.FileName(c.Key)), now.Generation, c.record.Generation, keep.ErrOvertaken)
	}
	return nil
}

// relock takes the lock once more, which shows whether another server has got it.
// Servers that only look have it for a moment.
func (c *Claim) relock() error {
	err := privdir.UntilFree(context.Background(), patience, func() error {
		err := sys.Flock(c.fd())
		if errors.Is(err, unix.EWOULDBLOCK) {
			if now, err := record.LoadPatiently(c.at, c.Key); err != nil {
				return err
			} else if err := c.isOurs(now); err != nil {
				return err
			}
		}
		return err
	})
	switch {
	case errors.Is(err, unix.EBADFD): // GlusterFS with client.strict-locks: it was lost
		err = fmt.Errorf("%w: %w", err, keep.ErrOvertaken)
	case errors.Is(err, unix.EWOULDBLOCK):
		err = keep.ErrElsewhere
	}
	if err != nil {
		return fmt.Errorf("lock: %s: %w", c.diskPath(), err)
	}
	return nil
}

// still fails if another server has got the session since c read its record.
func (c *Claim) still() error {
	if !c.dir.shared.Load() {
		return nil
	}
	now, err := record.Load(c.at, c.Key)
	if sys.Flock(c.fd()) != nil || !sys.SameFile(c.at.FD(), names.Disk(c.Key), c.fd()) || err == nil && c.unchanged(now) != nil {
		return fmt.Errorf("session %s: %w", c.Key.Short(), keep.ErrElsewhere)
	}
	return nil
}
