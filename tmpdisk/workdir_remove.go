// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// removeTree empties the directory that fd is open on and removes it as name
// in dirfd. A process that is just dying may still add files, so a directory
// that is not empty after all is emptied again, a few times.
func removeTree(dirfd int, name string, fd int) error {
	var err error
	for range 10 {
		if err = removeContents(fd); err != nil {
			return err
		}
		err = unix.Unlinkat(dirfd, name, unix.AT_REMOVEDIR)
		if err == nil || errors.Is(err, unix.ENOENT) {
			return nil
		}
		if !errors.Is(err, unix.ENOTEMPTY) && !errors.Is(err, unix.EEXIST) {
			return err
		}
	}
	return err
}

// removeContents deletes everything in the directory that fd is open on. It
// goes by descriptors only, follows no symbolic link, and enters no mount: a
// mount that a killed command left here is detached instead. It goes on after
// an error so that one undeletable file keeps as little as possible.
func removeContents(fd int) error {
	// As an ordinary user a directory that the command made read-only
	// cannot be emptied. If this fails the unlinks say why.
	unix.Fchmod(fd, modePrivate)
	dup, err := openat(fd, ".", openDirFlags)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(dup), "")
	names, err := f.Readdirnames(-1)
	f.Close()
	if errors.Is(err, unix.ENOENT) {
		return nil // it is gone, and was empty
	}
	if err != nil {
		return err
	}
	var first error
	for _, name := range names {
		if err := removeEntry(fd, name); err != nil && first == nil {
			first = fmt.Errorf("%s: %w", name, err)
		}
	}
	return first
}

func removeEntry(dirfd int, name string) error {
	err := unix.Unlinkat(dirfd, name, 0)
	if errors.Is(err, unix.EBUSY) {
		// A file with something mounted on it.
		if unmount(dirfd, name) == nil {
			err = unix.Unlinkat(dirfd, name, 0)
		}
	}
	if err == nil || errors.Is(err, unix.ENOENT) {
		return nil
	}
	if !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) {
		return err
	}
	fd, openErr := openBeneath(dirfd, name)
	if errors.Is(openErr, unix.EXDEV) {
		if openErr = unmount(dirfd, name); openErr == nil {
			fd, openErr = openBeneath(dirfd, name)
		}
	}
	if errors.Is(openErr, unix.EACCES) {
		// The command took its own directory's permissions away.
		if openErr = unix.Fchmodat(dirfd, name, modePrivate, 0); openErr == nil {
			fd, openErr = openBeneath(dirfd, name)
		}
	}
	if errors.Is(openErr, unix.ENOTDIR) {
		return err // EPERM, and not a directory: an immutable file
	}
	if openErr != nil {
		return openErr
	}
	defer unix.Close(fd)
	return removeTree(dirfd, name, fd)
}

// openBeneath opens a directory in dirfd; EXDEV if it is on another mount.
func openBeneath(dirfd int, name string) (int, error) {
	fd, err := unix.Openat2(dirfd, name, &unix.OpenHow{
		Flags:   openDirFlags,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV,
	})
	if !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) {
		return fd, err
	}
	// Linux before 5.6, or a container's filter that does not know openat2.
	// A bind mount of the same filesystem goes unnoticed here.
	fd, err = openat(dirfd, name, openDirFlags)
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

// unmount detaches what is mounted on name in dirfd, a directory of ours.
func unmount(dirfd int, name string) error {
	path := fmt.Sprintf("/proc/self/fd/%d/%s", dirfd, name)
	return unix.Unmount(path, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW)
}
