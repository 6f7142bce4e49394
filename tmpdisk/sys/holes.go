// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// SettleHoles makes what lseek(2) says about the file true on other filesystems
// too, as long as nobody writes to it: by flushing it.
func SettleHoles(fd int) error {
	if t, err := FSTypeOf(fd); err == nil && t.TellsHoles() {
		return nil
	}
	if err := Retry(func() error { return unix.Fdatasync(fd) }); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}

// NextData returns where the next data of the file that fd is open on begins, at
// off or after it, and where it ends; both are size, the file's, if there is
// none. Where the filesystem does not know, all is data.
func NextData(fd int, off, size int64) (from, to int64, err error) {
	from, err = Seek(fd, off, unix.SEEK_DATA)
	switch {
	case errors.Is(err, unix.ENXIO):
		return size, size, nil
	case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.ENOSYS):
		return off, size, nil
	case err != nil:
		return 0, 0, fmt.Errorf("find data: offset %d: %w", off, err)
	}
	to, err = Seek(fd, from, unix.SEEK_HOLE)
	if err != nil {
		return 0, 0, fmt.Errorf("find hole: offset %d: %w", from, err)
	}
	return min(from, size), min(to, size), nil
}
