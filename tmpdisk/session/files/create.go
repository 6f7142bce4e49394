// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package files

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/basis"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/files/names"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
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

func (d *Dir) adopt(ctx context.Context, key keep.Key, export string, fresh disk.Interface) (*Claim, error) {
	p, err := d.private(true)
	if err != nil {
		return nil, err
	}
	base, whole, err := basis.Keep(fresh, p, d.opts.Sync)
	if err != nil {
		return nil, err
	}
	temp, own, err := d.tempDisk(ctx, p, key, fresh, whole)
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

// tempDisk gives fresh a temporary name, and locks it; or a clone of it, where it never
// had a name on this filesystem that it could have again, or where it is another user's,
// so that it would be refused when it is opened next. With whole it is a copy that stands
// on nothing.
func (d *Dir) tempDisk(ctx context.Context, p *privdir.Dir, key keep.Key, fresh disk.Interface, whole bool) (name string, own disk.Interface, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fresh.FD(), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return "", nil, errors.Join(err, errors.New("the command made a block device, which cannot be kept there: have it make a file"))
	}
	if err := sys.Flock(fresh.FD()); err != nil {
		return "", nil, fmt.Errorf("lock: %w", err)
	}
	name = privdir.TempName(string(key))
	proc := fmt.Sprintf("/proc/self/fd/%d", fresh.FD())
	if !whole && int(st.Uid) == os.Geteuid() && unix.Linkat(unix.AT_FDCWD, proc, p.FD(), name, unix.AT_SYMLINK_FOLLOW) == nil {
		if err := unix.Fchmod(fresh.FD(), 0o600); err != nil {
			p.Remove(name)
			return "", nil, fmt.Errorf("chmod: %s: %w", p.Join(name), err)
		}
		return name, fresh, nil
	}
	f, err := temporary(p, key, func(fd int) error {
		if whole {
			return basis.Copy(ctx, fd, fresh)
		}
		how, err := sparse.Clone(ctx, fd, fresh.FD(), sparse.Options{})
		d.opts.Debug(fmt.Sprintf("session %s: disk cloned %s", key.Short(), how))
		return err
	})
	if err != nil {
		return "", nil, err
	}
	c, err := disk.FromFile(f, d.opts.Debug)
	if err != nil {
		p.Discard(f)
		f.Close()
		return "", nil, err
	}
	return filepath.Base(f.Name()), c, nil
}

// temporary makes a temporary file, which fill fills.
func temporary(p *privdir.Dir, key keep.Key, fill func(fd int) error) (*os.File, error) {
	f, err := record.Temp(p, key)
	if err != nil {
		return nil, err
	}
	if err := fill(int(f.Fd())); err != nil {
		p.Discard(f)
		f.Close()
		return nil, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return f, nil
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
		anchor, err := basis.Link(p, c.Key, c.Disk)
		if anchor != "" {
			d.anchors.Store(anchor, nil)
		}
		if err == nil {
			err = p.Publish(note, record.FileName(c.Key), false)
		}
		if err != nil {
			c.remove()
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
		err = c.remove()
	}
	if err == nil {
		err = c.at.Remove(temp)
	}
	return err
}
