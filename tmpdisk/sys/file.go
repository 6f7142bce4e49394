// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// OpenDir are the flags with which a directory is opened that must be one.
const OpenDir = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_CLOEXEC

// Openat is openat(2) without EINTR and without a mode.
func Openat(dirfd int, name string, flags int) (int, error) {
	return Retry2(func() (int, error) { return unix.Openat(dirfd, name, flags, 0) })
}

// OpenBeneath opens a directory in dirfd; EXDEV if it is on another mount.
func OpenBeneath(dirfd int, name string) (int, error) {
	fd, err := unix.Openat2(dirfd, name, &unix.OpenHow{
		Flags:   OpenDir,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
		return fd, err
	}
	// The filter of a container, or a sandbox, that does not know openat2. A
	// bind mount of the same filesystem goes unnoticed here.
	fd, err = Openat(dirfd, name, OpenDir)
	if err != nil {
		return fd, err
	}
	var above, here unix.Stat_t
	if err := errors.Join(unix.Fstat(dirfd, &above), unix.Fstat(fd, &here)); err != nil {
		unix.Close(fd)
		return -1, err
	}
	if above.Dev != here.Dev {
		unix.Close(fd)
		return -1, unix.EXDEV
	}
	return fd, nil
}

// Flock takes the exclusive lock of the open file fd. It does not wait: the
// error is EWOULDBLOCK if somebody else has the lock.
func Flock(fd int) error {
	return Retry(func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
}

// Dup is one more descriptor of what fd is open on. Both share one position, and a lock.
func Dup(fd int) (int, error) {
	again, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("duplicate descriptor: %w", err)
	}
	return again, nil
}

// Fdatasync is fdatasync(2) without EINTR.
func Fdatasync(fd int) error {
	return Retry(func() error { return unix.Fdatasync(fd) })
}

// Truncate is ftruncate(2) without EINTR.
func Truncate(fd int, size int64) error {
	return Retry(func() error { return unix.Ftruncate(fd, size) })
}

// LinkFD gives the file that fd is open on one more name, in dirfd. A file that had its
// last name removed can have none again, but one that never had a name can.
func LinkFD(fd, dirfd int, name string) error {
	proc := fmt.Sprintf("/proc/self/fd/%d", fd)
	return unix.Linkat(unix.AT_FDCWD, proc, dirfd, name, unix.AT_SYMLINK_FOLLOW)
}

// SameFile reports whether name in dirfd is the very file that fd is open on.
func SameFile(dirfd int, name string, fd int) bool {
	var byName, byFd unix.Stat_t
	if unix.Fstatat(dirfd, name, &byName, unix.AT_SYMLINK_NOFOLLOW) != nil ||
		unix.Fstat(fd, &byFd) != nil {
		return false
	}
	return byName.Dev == byFd.Dev && byName.Ino == byFd.Ino
}

// SameOpen reports whether two descriptors are open on the very same file.
func SameOpen(a, b int) bool {
	var is, other unix.Stat_t
	return unix.Fstat(a, &is) == nil && unix.Fstat(b, &other) == nil && is.Dev == other.Dev && is.Ino == other.Ino
}

// Seek is lseek(2) without EINTR.
func Seek(fd int, off int64, whence int) (int64, error) {
	return Retry2(func() (int64, error) { return unix.Seek(fd, off, whence) })
}

// StandsForRemoved is whether name looks like one that a filesystem in user
// space or on the network gives a removed file that is still open.
func StandsForRemoved(name string) bool {
	for _, prefix := range []string{".fuse_hidden", ".nfs", ".smb", ".__smb", ".__afs"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
