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
	"nbdkit-tmpdisk-plugin/tmpdisk/session/files/names"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Create takes in a fresh disk for a key that is unknown. It closes the disk if it
// fails, and where it keeps a clone in its place.
func (d *Dir) Create(ctx context.Context, key keep.Key, export string, fresh keep.Disk) (*Claim, error) {
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

func (d *Dir) adopt(ctx context.Context, key keep.Key, export string, fresh keep.Disk) (*Claim, error) {
	p, err := d.private(true)
	if err != nil {
		return nil, err
	}
	temp, own, err := d.tempDisk(ctx, p, key, fresh)
	if err != nil {
		return nil, err
	}
	c := &Claim{Key: key, Disk: own, Lease: d.newLease(), dir: d, at: p, record: record.Record{
		Key: key, Export: export, Size: own.Size(), Generation: 1, Connected: true,
	}}
	d.server.Stamp(&c.record)
	if d.opts.Sync {
		err = own.Sync()
	}
	if err == nil {
		err = c.publish(ctx, temp)
	}
	if err != nil {
		p.Remove(temp)
		if own != fresh {
			own.Close()
		}
		return nil, err
	}
	d.forgetMarks(key)
	return c, nil
}

// tempDisk gives fresh a temporary name, and locks it; or a clone of it, where it never
// had a name on this filesystem that it could have again, or where it is another user's,
// so that it would be refused when it is opened next.
func (d *Dir) tempDisk(ctx context.Context, p *privdir.Dir, key keep.Key, fresh keep.Disk) (name string, own keep.Disk, err error) {
	var st unix.Stat_t
	if err := unix.Fstat(fresh.FD(), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return "", nil, errors.Join(err, errors.New("the command made a block device, which cannot be kept there: have it make a file"))
	}
	if err := sys.Flock(fresh.FD()); err != nil {
		return "", nil, fmt.Errorf("lock: %w", err)
	}
	name = privdir.TempName(string(key))
	proc := fmt.Sprintf("/proc/self/fd/%d", fresh.FD())
	if int(st.Uid) == os.Geteuid() && unix.Linkat(unix.AT_FDCWD, proc, p.FD(), name, unix.AT_SYMLINK_FOLLOW) == nil {
		if err := unix.Fchmod(fresh.FD(), 0o600); err != nil {
			p.Remove(name)
			return "", nil, fmt.Errorf("chmod: %s: %w", p.Join(name), err)
		}
		return name, fresh, nil
	}
	f, how, err := copyTo(ctx, p, key, fresh.FD())
	if err != nil {
		return "", nil, err
	}
	d.opts.Debug(fmt.Sprintf("session %s: disk cloned %s", key.Short(), how))
	c, err := disk.FromFile(f, d.opts.Debug)
	if err != nil {
		p.Discard(f)
		f.Close()
		return "", nil, err
	}
	return filepath.Base(f.Name()), c, nil
}

// copyTo makes a temporary file with the content of fd.
func copyTo(ctx context.Context, p *privdir.Dir, key keep.Key, fd int) (*os.File, sparse.Result, error) {
	f, err := record.Temp(p, key)
	if err != nil {
		return nil, sparse.Result{}, err
	}
	how, err := sparse.Clone(ctx, int(f.Fd()), fd, sparse.Options{})
	if err != nil {
		p.Discard(f)
		f.Close()
		return nil, sparse.Result{}, fmt.Errorf("%s: %w", f.Name(), err)
	}
	return f, how, nil
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
		err := p.Publish(note, record.FileName(c.Key), false)
		if err != nil {
			p.Remove(names.Disk(c.Key))
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
	disk, temp := names.Disk(c.Key), privdir.TempName(string(c.Key))
	if err := unix.Linkat(c.at.FD(), disk, c.at.FD(), temp, 0); err != nil {
		return fmt.Errorf("link: %s: %w", c.diskPath(), err)
	}
	for _, name := range []string{record.FileName(c.Key), disk, temp} {
		if err := c.at.Remove(name); err != nil {
			return err
		}
	}
	return nil
}
