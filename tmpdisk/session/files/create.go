// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package files

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/basis"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/files/adopt"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/files/names"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
)

// Create takes in a fresh disk for a key that is unknown. It closes the disk if it
// fails, and where it keeps a clone in its place.
func (d *Dir) Create(ctx context.Context, key keep.Key, export string, fresh disk.Interface) (*Claim, error) {
	c, err := d.adopt(ctx, key, export, fresh)
	if err != nil {
		fresh.Close()
		return nil, Directories.Named(err)
	}
	if c.Disk != fresh {
		fresh.Close()
	}
	return c, nil
}

func (d *Dir) adopt(ctx context.Context, key keep.Key, export string, fresh disk.Interface) (_ *Claim, err error) {
	p, err := d.private(true)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.Close()
		}
	}()
	base, whole, err := basis.Keep(fresh, p, d.opts.Sync)
	if err != nil {
		return nil, err
	}
	temp, own, err := adopt.Name(ctx, p, key, fresh, whole, d.opts.Debug)
	if err != nil {
		return nil, err
	}
	c := &Claim{Key: key, Disk: own, Lease: d.newLease(), dir: d, at: p, record: record.Record{
		Key: key, Export: export, Size: fresh.Size(), Generation: 1, Connected: true,
	}}
	d.server.Stamp(&c.record)
	if base != nil {
		basis.Describe(&c.record, base)
		if own != fresh {
			base.Hold()
			c.base = base
			err = c.stand()
		}
	}
	if err == nil && d.opts.Sync {
		err = c.Disk.Sync()
	}
	if err == nil {
		err = c.publish(ctx, temp)
	}
	if err != nil {
		p.Remove(temp)
		if c.Disk != nil && own != fresh {
			c.Disk.Close()
		}
		return nil, err
	}
	d.forgetMarks(key)
	return c, nil
}

// publish gives the disk, which has the name temp, and its record their names for good.
func (c *Claim) publish(ctx context.Context, temp string) error {
	d, p := c.dir, c.at
	note, err := record.Create(p, &c.record)
	if err != nil {
		return err
	}
	defer note.Close()
	err = d.naming.With(ctx, p, d.shared.Load(), func() error {
		// Another server may have had the session, and lost it, since it was
		// looked for here.
		if there, err := names.Exists(p, record.FileName(c.Key)); err != nil {
			return err
		} else if there {
			return fmt.Errorf("%s: %w", p.Join(record.FileName(c.Key)), keep.ErrElsewhere)
		}
		if err := unix.Linkat(p.FD(), temp, p.FD(), names.Disk(c.Key), 0); err != nil {
			if errors.Is(err, unix.EEXIST) {
				err = keep.ErrElsewhere
			}
			return fmt.Errorf("%s: %w", c.diskPath(), err)
		}
		anchor, err := basis.Link(p, c.Key, c.Disk, d.opts.Debug, d.opts.LogError)
		if anchor != "" {
			d.anchors.Store(anchor, nil)
		}
		if err == nil {
			err = p.Publish(note, record.FileName(c.Key), false)
		}
		if err != nil && p.Remove(names.Disk(c.Key)) == nil {
			basis.Remove(p, c.Key)
		}
		return err
	})
	if err != nil {
		p.Discard(note)
		return err
	}
	if err = p.Remove(temp); err == nil {
		err = p.Sync()
	}
	if err != nil {
		err = errors.Join(err, c.unpublish())
	}
	return err
}

// unpublish removes a disk that no client knows, and its record. Meanwhile the disk has a
// temporary name, as while it was made: whoever finds it without a record knows then
// that it was nobody's. Nothing is removed after what could not be.
func (c *Claim) unpublish() error {
	temp := privdir.TempName(string(c.Key))
	if err := unix.Linkat(c.at.FD(), names.Disk(c.Key), c.at.FD(), temp, 0); err != nil {
		return fmt.Errorf("link: %s: %w", c.diskPath(), err)
	}
	err := c.at.Remove(record.FileName(c.Key))
	if err == nil {
		err = c.dir.naming.Remove(c.at, c.dir.shared.Load(), c.Key)
	}
	if err == nil {
		err = c.at.Remove(temp)
	}
	return err
}
