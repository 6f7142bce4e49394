// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package disk

import (
	"fmt"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// PRead fills buf from offset off (nbdkit's .pread). It allocates nothing
// unless it fails.
func (d *Disk) PRead(buf []byte, off uint64) error {
	if err := d.check(uint64(len(buf)), off); err != nil {
		return err
	}
	d.touch()
	for len(buf) > 0 {
		n, err := unix.Pread(d.fd, buf, int64(off))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("pread: offset %d: %w", off, err)
		case n == 0:
			return fmt.Errorf("pread: offset %d: the disk has become shorter: %w", off, unix.EIO)
		}
		buf, off = buf[n:], off+uint64(n)
	}
	return nil
}

// PWrite writes buf at offset off (nbdkit's .pwrite). It allocates nothing
// unless it fails. After ENOSPC the disk can still be used.
func (d *Disk) PWrite(buf []byte, off uint64) error {
	if err := d.checkWrite(uint64(len(buf)), off); err != nil {
		return err
	}
	d.touch()
	if n, err := sys.Pwrite(d.fd, buf, int64(off)); err != nil {
		return fmt.Errorf("pwrite: offset %d: %w", off+uint64(n), err)
	}
	return nil
}

// check guards the conversions to off_t below, and a file against growing;
// nbdkit lets no such request through.
func (d *Disk) check(count, off uint64) error {
	size := uint64(d.size)
	if off > size || count > size-off {
		return fmt.Errorf("request: offset %d, count %d: beyond the end at %d: %w", off, count, size, unix.EINVAL)
	}
	return nil
}

func (d *Disk) checkWrite(count, off uint64) error {
	if d.readOnly {
		return fmt.Errorf("request: the command made a read-only disk: %w", unix.EROFS)
	}
	return d.check(count, off)
}

// Cache asks the kernel to read count bytes at off ahead of a request for them
// (nbdkit's .cache). It is advice: that it cannot be taken is no error.
func (d *Disk) Cache(count uint32, off uint64) error {
	if err := d.check(uint64(count), off); err != nil {
		return err
	}
	d.touch()
	if count == 0 { // which fadvise takes for "to the end"
		return nil
	}
	if err := unix.Fadvise(d.fd, int64(off), int64(count), unix.FADV_WILLNEED); err != nil {
		d.debug(fmt.Sprintf("cache: offset %d, count %d: %v (ignored)", off, count, err))
	}
	return nil
}

// Sync returns when all that was written is on the storage itself.
func (d *Disk) Sync() error {
	if err := sys.Retry(func() error { return unix.Fdatasync(d.fd) }); err != nil {
		return fmt.Errorf("fdatasync: %w", err)
	}
	return nil
}
