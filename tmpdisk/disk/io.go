// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package disk

import (
	"fmt"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// read fills buf from offset off (nbdkit's .pread).
func (d *Disk) read(buf []byte, off uint64) error {
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

// write writes buf at offset off (nbdkit's .pwrite). After ENOSPC the disk can
// still be used.
func (d *Disk) write(buf []byte, off uint64) error {
	if n, err := sys.Pwrite(d.fd, buf, int64(off)); err != nil {
		return fmt.Errorf("pwrite: offset %d: %w", off+uint64(n), err)
	}
	return nil
}

// cache asks the kernel to read ahead of a request (nbdkit's .cache). It is advice:
// that it cannot be taken is no error.
func (d *Disk) cache(r Request) error {
	if r.Count == 0 { // which fadvise takes for "to the end"
		return nil
	}
	if err := unix.Fadvise(d.fd, int64(r.Offset), int64(r.Count), unix.FADV_WILLNEED); err != nil {
		d.debug(fmt.Sprintf("cache: offset %d, count %d: %v (ignored)", r.Offset, r.Count, err))
	}
	return nil
}

// Sync returns when all that was written is on the storage itself.
func (d *Disk) Sync() error {
	if err := sys.Fdatasync(d.fd); err != nil {
		return fmt.Errorf("fdatasync: %w", err)
	}
	return nil
}
