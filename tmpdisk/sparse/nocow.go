// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sparse

import "golang.org/x/sys/unix"

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
	var st unix.Statfs_t
	if unix.Fstatfs(fd, &st) != nil || st.Type != unix.BTRFS_SUPER_MAGIC {
		return
	}
	if flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS); err == nil {
		unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, int(flags|noCow))
	}
}

// writtenInPlace is whether the file that fd is open on has been told.
func writtenInPlace(fd int) bool {
	var st unix.Statfs_t
	if unix.Fstatfs(fd, &st) != nil || st.Type != unix.BTRFS_SUPER_MAGIC {
		return false
	}
	flags, err := unix.IoctlGetUint32(fd, unix.FS_IOC_GETFLAGS)
	return err == nil && flags&noCow != 0
}
