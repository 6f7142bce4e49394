// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// create implements keeper.
func (d *dir) create(ctx context.Context, key Key, export string, fresh Disk) (*held, error) {
	h, err := d.adopt(ctx, key, export, fresh)
	if err != nil {
		fresh.Close()
		return nil, fmt.Errorf("session-dir: %w", err)
	}
	if h.disk != fresh {
		fresh.Close()
	}
	return h, nil
}

func (d *dir) adopt(ctx context.Context, key Key, export string, fresh Disk) (*held, error) {
	p, err := d.private()
	if err != nil {
		return nil, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fresh.FD(), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return nil, errors.Join(err, errors.New("the command made a block device, which cannot be kept there: have it make a file"))
	}
	mine := int(st.Uid) == os.Geteuid() // else it would be refused when it is opened next
	n, err := d.tempDisk(ctx, p, key, fresh, mine)
	if err != nil {
		return nil, err
	}
	h := &held{key: key, disk: n.disk, lease: d.newLease(), record: record{
		Key: key, Export: export, Size: fresh.Size(), Generation: 1, Connected: true,
	}}
	if d.opts.Sync {
		err = n.disk.Sync()
	}
	if err == nil {
		err = d.publish(p, h, n.name)
	}
	if err != nil {
		p.Remove(n.name)
		if n.disk != fresh {
			n.disk.Close()
		}
		return nil, err
	}
	return h, nil
}

// newDisk is a disk that has only a temporary name yet, and is locked.
type newDisk struct {
	disk Disk
	name string
}

// tempDisk gives fresh a temporary name; or a clone of it, where it never had one
// on this filesystem that it could have again, or where it is not mine.
func (d *dir) tempDisk(ctx context.Context, p *privdir.Dir, key Key, fresh Disk, mine bool) (newDisk, error) {
	name := string(key) + ".tmp." + sys.RandomName()
	if err := sys.Flock(fresh.FD()); err != nil {
		return newDisk{}, fmt.Errorf("lock: %w", err)
	}
	proc := fmt.Sprintf("/proc/self/fd/%d", fresh.FD())
	if mine && unix.Linkat(unix.AT_FDCWD, proc, p.FD(), name, unix.AT_SYMLINK_FOLLOW) == nil {
		if err := unix.Fchmod(fresh.FD(), 0o600); err != nil {
			p.Remove(name)
			return newDisk{}, fmt.Errorf("chmod: %s: %w", p.Join(name), err)
		}
		return newDisk{fresh, name}, nil
	}
	f, err := d.temp(p, name)
	if err != nil {
		return newDisk{}, err
	}
	defer f.Close()
	sparse.WriteInPlace(int(f.Fd()))
	how, err := sparse.Clone(ctx, int(f.Fd()), fresh.FD(), sparse.Options{})
	if err == nil {
		d.opts.Debug(fmt.Sprintf("session %s: disk cloned %s", key.Short(), how))
		var c *disk.Disk
		if c, err = fromFile(f, d.opts.Debug); err == nil {
			return newDisk{c, name}, nil
		}
	}
	p.Remove(name)
	return newDisk{}, fmt.Errorf("%s: %w", p.Join(name), err)
}

// temp makes a file and locks it, so that no sweep takes it for a dead server's. A
// sweep that was faster removes it, and it is made once more.
func (d *dir) temp(p *privdir.Dir, name string) (*os.File, error) {
	for until := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		f, err := p.Lock(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
		if err == nil {
			return f, nil
		}
		swept := errors.Is(err, privdir.ErrReplaced) || errors.Is(err, unix.EWOULDBLOCK) || errors.Is(err, unix.EEXIST)
		if !swept || time.Now().After(until) {
			return nil, err
		}
	}
}

// publish gives the new disk, and its record, their names, for good.
func (d *dir) publish(p *privdir.Dir, h *held, temp string) error {
	note, unlock, err := d.tempRecord(p, &h.record, true)
	if err != nil {
		return err
	}
	defer unlock()
	err = d.exclusively(p, func() error {
		// Another server may have had the session, and lost it, since it was
		// looked for here.
		if exists(p, string(h.key)+".json") {
			return fmt.Errorf("%s: %w", p.Join(string(h.key)+".json"), errElsewhere)
		}
		if err := unix.Linkat(p.FD(), temp, p.FD(), string(h.key)+".disk", 0); err != nil {
			if errors.Is(err, unix.EEXIST) {
				err = errElsewhere
			}
			return fmt.Errorf("%s: %w", p.Join(string(h.key)+".disk"), err)
		}
		err := unix.Renameat(p.FD(), note, p.FD(), string(h.key)+".json")
		if err != nil {
			p.Remove(string(h.key) + ".disk")
			err = fmt.Errorf("rename: %s: %w", p.Join(note), err)
		}
		return err
	})
	if err != nil {
		p.Remove(note)
		return err
	}
	p.Remove(temp)
	if err := syncDir(p); err != nil {
		return errors.Join(err, unpublish(p, h.key))
	}
	return nil
}

// unpublish removes a disk, and its record, that no client was told of.
func unpublish(p *privdir.Dir, key Key) error {
	// First the record: a disk without one is nobody's.
	return errors.Join(p.Remove(string(key)+".json"), p.Remove(string(key)+".disk"))
}

func syncDir(p *privdir.Dir) error {
	if err := sys.Retry(func() error { return unix.Fsync(p.FD()) }); err != nil {
		return fmt.Errorf("sync: %s: %w", p.Path(), err)
	}
	return nil
}
