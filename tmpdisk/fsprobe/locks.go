// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package fsprobe

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// lockedFile opens a new file of mode 0600 that has no name any more. It is locked,
// so that nobody takes for a dead server's what stands for its name on NFS: locks is
// why that did not work as it must, or nil.
func lockedFile(dir, prefix string) (fd int, locks, err error) {
	for range 100 {
		var swept bool
		if fd, swept, locks, err = tryLockedFile(filepath.Join(dir, prefix+sys.RandomName())); !swept {
			return fd, locks, err
		}
	}
	return fd, locks, err
}

// tryLockedFile does that once. swept says that somebody's sweep met the file before
// it was locked.
func tryLockedFile(path string) (fd int, swept bool, locks, err error) {
	const flags = unix.O_RDWR | unix.O_NOFOLLOW | unix.O_CLOEXEC
	open := func(flags int) (int, error) {
		return sys.Retry2(func() (int, error) { return unix.Open(path, flags, 0o600) })
	}
	if fd, err = open(flags | unix.O_CREAT | unix.O_EXCL); err != nil {
		return -1, false, nil, err
	}
	again, err := open(flags)
	if err == nil {
		locks = exclude(fd, again)
		unix.Close(again)
		if swept = errors.Is(locks, unix.EWOULDBLOCK); swept {
			err = locks
		}
	} else {
		swept = err == unix.ENOENT
	}
	if rmErr := unix.Unlink(path); rmErr != nil && rmErr != unix.ENOENT && err == nil {
		err = rmErr
	}
	if err != nil {
		unix.Close(fd)
		return -1, swept, nil, err
	}
	return fd, false, locks, nil
}

var errBoth = errors.New("two can have the lock of one file at the same time")

// exclude is why the locks of a and b, two descriptions of one file, do not exclude
// each other, or nil: then a is locked. It wraps EWOULDBLOCK if a is already.
func exclude(a, b int) error {
	if err := sys.Flock(a); err != nil {
		return err
	}
	switch err := sys.Flock(b); {
	case err == nil:
		return errBoth
	case !errors.Is(err, unix.EWOULDBLOCK):
		return err
	}
	return nil
}

// localOptions are those with which locks are kept from other machines: of NFS, GFS2
// and OCFS2, Lustre, and SMB.
var localOptions = []string{"nolock", "local_lock=all", "local_lock=flock", "localflocks", "localflock", "nobrl"}

// localLocks is the one with which the filesystem of dir, of type t, was mounted; ""
// if none is known.
func localLocks(t sys.FSType, dir string) string {
	if !t.Shared() {
		return ""
	}
	options, err := sys.MountOptions(dir)
	if err != nil {
		return ""
	}
	return localOption(options)
}

func localOption(options string) string {
	for _, o := range strings.Split(options, ",") {
		if slices.Contains(localOptions, o) {
			return o
		}
	}
	return ""
}
