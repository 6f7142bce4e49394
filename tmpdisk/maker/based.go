// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/overlay"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Based makes disks over the image that base= names. Its methods may be called from any
// number of goroutines.
type Based struct {
	maker *Maker
	asked sys.Turn // of looking at the image, which may hang

	looking sync.Mutex // one look at a time, so that what is wrong is said once
	mu      sync.Mutex
	base    *overlay.Base // the last one; nil before the first disk
	stopped bool
}

// NewBased returns a Based. It touches nothing yet.
func NewBased(m *Maker) *Based { return &Based{maker: m, asked: sys.NewTurn()} }

// Stop closes the image, which disks that stand on it keep open.
func (b *Based) Stop() {
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
	b.replace(nil)
}

// replace has base, which may be nil, take the last one's place.
func (b *Based) replace(base *overlay.Base) {
	b.mu.Lock()
	last := b.base
	if b.base = base; b.stopped && base != nil {
		last, b.base = base, nil
	}
	b.mu.Unlock()
	if last != nil {
		last.Release()
	}
}

// AtOnce reports whether Make asks nothing but filesystems of this machine.
func (b *Based) AtOnce() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.base != nil && b.base.Local()
}

// Make returns a new disk over the image as it is now.
func (b *Based) Make(ctx context.Context) (disk.Interface, error) {
	var err error
	if b.AtOnce() {
		err = b.look()
	} else if hangs := b.asked.Do(ctx, func() { err = b.look() }); hangs != nil {
		return nil, fmt.Errorf("parameter base: %s: %w", b.path(), hangs)
	}
	if err != nil {
		return nil, fmt.Errorf("parameter base: %w", err)
	}
	base := b.current()
	if base == nil {
		return nil, errors.New("base: the export has ended")
	}
	defer base.Release()
	size := b.maker.opts.Config.Size
	if size == 0 {
		size = base.Size()
	}
	d, err := b.maker.over(ctx, base, size)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (b *Based) path() string { return b.maker.opts.Config.Base }

// current is the image that was looked at last, which the caller releases.
func (b *Based) current() *overlay.Base {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.base != nil {
		b.base.Hold()
	}
	return b.base
}

// look opens the image if it is another one than the last time, or if it must not be read
// any more, which the open says.
func (b *Based) look() error {
	b.looking.Lock()
	defer b.looking.Unlock()
	path := b.path()
	if last := b.current(); last != nil {
		defer last.Release()
		if last.Is(path) && unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK, unix.AT_EACCESS) == nil {
			changed := last.Changed()
			if changed == nil {
				return nil
			}
			b.maker.opts.Error(fmt.Sprintf("base: %s: changed in place, under whoever has a disk on it: %v: "+
				"make a new file and rename it over the old one", path, changed))
		}
	}
	var once sync.Once
	fresh, err := overlay.Open(path, b.maker.opts.Debug, func(err error) {
		once.Do(func() {
			b.maker.opts.Error(fmt.Sprintf("base: %s: clients get errors: %v: if it has become shorter, put the old one back, "+
				"and let a new one be renamed over it", path, err))
		})
	})
	if err != nil {
		return err
	}
	b.replace(fresh)
	return nil
}

// Shares returns a new disk that shares the blocks of the file src. Where its filesystem
// cannot do that, both disk and error are nil.
func (m *Maker) Shares(ctx context.Context, src int) (*disk.Disk, error) {
	var sharing error
	// Not in place, unless src is: see sparse.Reflink.
	d, err := m.unnamed(ctx, false, func(fd int) error {
		sharing = sparse.Reflink(fd, src)
		return sharing
	})
	if sharing != nil && !sys.NoRoom(sharing) {
		return nil, nil
	}
	return d, err
}

// Over returns a new disk over base, of its size.
func (m *Maker) Over(ctx context.Context, base *overlay.Base) (*overlay.Disk, error) {
	return m.over(ctx, base, base.Size())
}

// over makes a disk of size bytes over base.
func (m *Maker) over(ctx context.Context, base *overlay.Base, size int64) (*overlay.Disk, error) {
	own, err := m.unnamed(ctx, true, func(fd int) error {
		if err := sys.Truncate(fd, size); err != nil {
			return fmt.Errorf("truncate: %d bytes: %w", size, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return overlay.New(own, base)
}

// keepAsBase returns a copy of d, which has been made and is not changed any more, to be
// shared. A file that once had a name can never have another one; the copy can.
func (m *Maker) keepAsBase(ctx context.Context, d *disk.Disk) (*overlay.Base, error) {
	image, err := m.unnamed(ctx, true, func(fd int) error {
		_, err := sparse.Clone(ctx, fd, d.FD(), sparse.Options{FindZeroes: true})
		return err
	})
	if err != nil {
		return nil, err
	}
	base, err := overlay.Own(image, "", "mold")
	if err != nil {
		return nil, err
	}
	// Servers that start look at the links of sessions, and leave those of what is locked.
	if err := base.Lock(); err != nil {
		m.opts.Debug(fmt.Sprintf("mold: lock: %v (ignored)", err))
	}
	return base, nil
}

// unnamed is a disk that fill makes of an empty file, which never had a name; or, on a
// filesystem without such files, in a private directory. For inPlace see
// sparse.WriteInPlace.
func (m *Maker) unnamed(ctx context.Context, inPlace bool, fill func(fd int) error) (*disk.Disk, error) {
	fd, err := sparse.Unnamed(m.opts.Dir, inPlace)
	if errors.Is(err, errors.ErrUnsupported) {
		return m.Filled(ctx, func(_ context.Context, path string) error {
			f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
			if err != nil {
				return err
			}
			defer f.Close()
			if inPlace {
				sparse.WriteInPlace(int(f.Fd()))
			}
			return fill(int(f.Fd()))
		})
	}
	if err != nil {
		return nil, err
	}
	if err := fill(fd); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return disk.FromFD(fd, m.opts.Debug)
}
