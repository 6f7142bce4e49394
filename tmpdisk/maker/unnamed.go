// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/overlay"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

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
