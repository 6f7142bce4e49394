// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// TellsHoles is whether the filesystem of the file that fd is open on is known
// to see, when asked for data or a hole by lseek(2), what was written a moment
// before. Where writes are kept back in user space (GlusterFS) such data is now
// and then taken for a hole, which whoever copies the file by the answer loses.
//
// Others may tell the truth as well. Of overlayfs it depends on what is below,
// which cannot be known; ZFS had errors in it for years.
func TellsHoles(fd int) bool {
	var st unix.Statfs_t
	if Retry(func() error { return unix.Fstatfs(fd, &st) }) != nil {
		return false
	}
	switch st.Type {
	case unix.EXT4_SUPER_MAGIC, // ext2 and ext3 have the same
		unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.F2FS_SUPER_MAGIC, unix.TMPFS_MAGIC:
		return true
	}
	return false
}

// SettleHoles makes what lseek(2) says about the file true on other filesystems
// too, as long as nobody writes to it: by flushing it.
func SettleHoles(fd int) error {
	if TellsHoles(fd) {
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
