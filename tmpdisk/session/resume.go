// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// resume implements keeper.
func (d *dir) resume(ctx context.Context, key Key) (*held, error) {
	p, err := d.private()
	if err != nil {
		return nil, err
	}
	f, err := d.lockDisk(ctx, p, key, patience)
	if errors.Is(err, unix.ENOENT) {
		return nil, d.withoutDisk(p, key)
	}
	if err != nil {
		return nil, err
	}
	h, err := d.take(p, key, f)
	if err != nil {
		f.Close()
		return nil, err
	}
	if h.lease != nil {
		if err := d.settle(ctx, p, h); err != nil {
			h.disk.Close()
			return nil, err
		}
	}
	return h, nil
}

// withoutDisk is why key has none.
func (d *dir) withoutDisk(p *privdir.Dir, key Key) error {
	r, err := d.read(p, key)
	switch {
	case errors.Is(err, unix.ENOENT):
		return errUnknown
	case errors.Is(err, errDamaged), err == nil && r.Lost == "":
		return d.exclusively(p, func() error { return d.loseWithoutDisk(p, key) })
	case err != nil:
		return err
	}
	return &LostError{key, r.Lost}
}

// loseWithoutDisk is for a record that has no disk and is no note. Another server
// may just have made both. With the lock of the directory.
func (d *dir) loseWithoutDisk(p *privdir.Dir, key Key) error {
	if exists(p, string(key)+".disk") {
		return fmt.Errorf("session %s: %w", key.Short(), errElsewhere)
	}
	r, err := d.read(p, key)
	switch {
	case errors.Is(err, unix.ENOENT):
		return errUnknown
	case err != nil && !errors.Is(err, errDamaged):
		return err
	case err != nil:
		d.opts.LogError(err.Error())
	case r.Lost != "":
		return &LostError{key, r.Lost}
	}
	return d.lose(p, noDisk, r, key, Damaged)
}

func exists(p *privdir.Dir, name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(p.FD(), name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil
}

// check returns the record of the locked disk f. What cannot be resumed it
// removes: the error is then a *LostError, or errUnknown.
func (d *dir) check(p *privdir.Dir, key Key, f *os.File) (record, error) {
	r, err := d.read(p, key)
	switch {
	case errors.Is(err, unix.ENOENT): // its maker died before anybody was told
		if err := p.Remove(string(key) + ".disk"); err != nil {
			return r, err
		}
		return r, errUnknown
	case errors.Is(err, errDamaged):
		d.opts.LogError(err.Error())
		return r, d.lose(p, int(f.Fd()), r, key, Damaged)
	case err != nil:
		return r, err
	case r.Lost != "": // whoever wrote so died before it removed the disk
		return r, d.lose(p, int(f.Fd()), r, key, r.Lost)
	case d.marked(d.failed, &r):
		return r, d.lose(p, int(f.Fd()), r, key, Failed)
	case r.Boot != d.boot && !r.Sync:
		return r, d.lose(p, int(f.Fd()), r, key, Crashed)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return r, fmt.Errorf("fstat: %s: %w", f.Name(), err)
	}
	if st.Size != r.Size {
		d.opts.LogError(fmt.Sprintf("%s: has %d bytes, not %d", f.Name(), st.Size, r.Size))
		return r, d.lose(p, int(f.Fd()), r, key, Damaged)
	}
	return r, nil
}

// take makes the locked disk f, and its record, this server's.
func (d *dir) take(p *privdir.Dir, key Key, f *os.File) (*held, error) {
	r, err := d.check(p, key, f)
	if err != nil {
		return nil, err
	}
	if d.opts.Sync && !r.Sync {
		if err := sys.Retry(func() error { return unix.Fdatasync(int(f.Fd())) }); err != nil {
			// The kernel tells of a page that it could not write only once.
			d.opts.LogError(fmt.Sprintf("sync: %s: %v", f.Name(), err))
			return nil, d.lose(p, int(f.Fd()), r, key, Failed)
		}
	}
	before := r
	r.Unsettled = d.shared && (r.Unsettled || r.Connected)
	r.Generation++
	r.Connected = true
	if err := d.write(p, &r); err != nil {
		return nil, err
	}
	if r.Unsettled {
		d.tookOver(&r, &before)
	}
	opened, err := fromFile(f, d.opts.Debug)
	if err != nil {
		return nil, err
	}
	return &held{key: key, disk: opened, used: true, lease: d.newLease(), others: before.Server != d.name, record: r}, nil
}

// fromFile returns the disk that is f, which is closed. The lock goes with it.
func fromFile(f *os.File, debug func(string)) (*disk.Disk, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate descriptor: %w", err)
	}
	d, err := disk.FromFD(fd, debug)
	if err == nil {
		f.Close()
	}
	return d, err
}

// noDisk is for a session without one.
const noDisk = -1

// lose leaves a note in place of the disk of key, which is locked and open as fd.
// The error is a *LostError, or says why that was not possible.
func (d *dir) lose(p *privdir.Dir, fd int, r record, key Key, why Reason) error {
	still := func() error { return d.still(p, fd, &r, key) }
	note := record{Key: key, Export: r.Export, Lost: why}
	err := d.writeIf(p, &note, still)
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		// The disk that is to go has all the room that its note needs. One that
		// is empty and has a record is damaged, and not unknown.
		if err = still(); err == nil {
			err = d.empty(p, key)
		}
		if err == nil {
			err = d.writeIf(p, &note, still)
		}
	}
	if err != nil {
		return err
	}
	d.opts.LogError(fmt.Sprintf("session %s: its disk %s is removed: %s", key.Short(), p.Join(string(key)+".disk"), reasons[why]))
	if err := p.Remove(string(key) + ".disk"); err != nil {
		return err
	}
	d.mu.Lock()
	delete(d.failed, key) // the note says it now
	delete(d.orphans, key)
	delete(d.takeovers, key)
	d.mu.Unlock()
	return &LostError{key, why}
}

// still fails if another server has got the session since r was read with the lock
// of the disk, which is open as fd.
func (d *dir) still(p *privdir.Dir, fd int, r *record, key Key) error {
	if !d.shared || fd == noDisk {
		return nil
	}
	now, err := d.read(p, key)
	if sys.Flock(fd) != nil || !sys.SameFile(p.FD(), string(key)+".disk", fd) ||
		err == nil && (now.Generation != r.Generation || now.Server != r.Server || now.Lost != r.Lost) {
		return fmt.Errorf("session %s: %w", key.Short(), errElsewhere)
	}
	return nil
}

// empty gives back the room that the disk of key takes.
func (d *dir) empty(p *privdir.Dir, key Key) error {
	f, err := p.Open(string(key)+".disk", unix.O_RDWR)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Truncate(0)
}
