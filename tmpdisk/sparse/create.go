// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sparse

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Create makes a file of size bytes at path, of mode 0600, that is one hole.
// With inPlace it is written in place on btrfs, see WriteInPlace. The error
// wraps EFBIG where no file can be that large.
func Create(path string, size int64, inPlace bool) error {
	fd, err := sys.Retry2(func() (int, error) {
		return unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	})
	if err != nil {
		return fmt.Errorf("create: %s: %w", path, err)
	}
	if inPlace {
		WriteInPlace(fd)
	}
	err = sys.Truncate(fd, size)
	if closeErr := unix.Close(fd); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("truncate: %s: %d bytes: %w", path, size, err)
	}
	return nil
}

// Unnamed opens a new empty file, of mode 0600, that is on dir's filesystem and
// has no name there. With inPlace it is written in place on btrfs, see
// WriteInPlace. The caller closes it, which removes it. The error wraps
// [errors.ErrUnsupported] where the filesystem has no such files (NFS, and FUSE
// before Linux 6.1).
func Unnamed(dir string, inPlace bool) (int, error) {
	fd, err := sys.Retry2(func() (int, error) {
		return unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	})
	switch {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENOSYS):
		return -1, fmt.Errorf("open unnamed file: %s: %w: %w", dir, err, errors.ErrUnsupported)
	case err != nil:
		return -1, fmt.Errorf("open unnamed file: %s: %w", dir, err)
	}
	if inPlace {
		WriteInPlace(fd)
	}
	return fd, nil
}

// On btrfs a write goes to a new place even where the file has data. When the
// filesystem is full that fails for every client, also for those who only
// change what they have, and large files that are written at random fall to
// pieces. A file can be told to be written in place as long as it is empty. It
// has no checksums then, and is not compressed.
//
// Not so a file that a command= starts from: it may want to make it a reflink
// of another file, which btrfs permits only if both are alike in this.

const noCow = 0x00800000 // FS_NOCOW_FL of linux/fs.h, chattr's +C

// WriteInPlace tells the empty file that fd is open on. Other filesystems do so
// anyway.
func WriteInPlace(fd int) {
	if flags, ok := btrfsFlags(fd); ok {
		unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags|noCow))
	}
}

// writtenInPlace is whether the file that fd is open on has been told.
func writtenInPlace(fd int) bool {
	flags, _ := btrfsFlags(fd)
	return flags&noCow != 0
}

// btrfsFlags are those of a file on btrfs.
func btrfsFlags(fd int) (flags uint32, ok bool) {
	if t, err := sys.FSTypeOf(fd); err != nil || t != unix.BTRFS_SUPER_MAGIC {
		return 0, false
	}
	flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	return flags, err == nil
}
