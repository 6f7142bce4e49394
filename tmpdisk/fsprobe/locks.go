// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package fsprobe

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// unnamedFile makes a file that has no name any more. It is locked, so that no sweep
// takes for a dead server's what stands for its name on NFS: locks is why that did not
// work as it must, or nil.
func unnamedFile(dir *privdir.Dir, prefix string) (f *os.File, locks, err error) {
	if f, locks, err = dir.Temp(prefix); err != nil {
		return nil, nil, err
	}
	if locks == nil {
		locks = excludes(f)
	}
	return f, locks, dir.Remove(filepath.Base(f.Name()))
}

var errBoth = errors.New("two can have the lock of one file at the same time")

// excludes is why the lock of f, which is locked, does not exclude another who opens
// the same file; nil if it does.
func excludes(f *os.File) error {
	other, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDWR, 0)
	if err != nil {
		return cause(err)
	}
	defer other.Close()
	switch err := sys.Flock(int(other.Fd())); {
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
