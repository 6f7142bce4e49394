// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package workdir

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Remove deletes the directory with all that is in it and gives up the lock.
// What could not be deleted stays for a later sweep and is the error; calling
// it again after that or after success does nothing.
func (w *Dir) Remove() error {
	if w.parent == nil {
		return nil
	}
	var err error
	if !w.removeKnown() {
		err = removeTree(int(w.parent.Fd()), w.name, int(w.dir.Fd()))
	}
	// The lock goes last: until here no sweep may look inside.
	w.dir.Close()
	w.parent.Close()
	w.dir, w.parent = nil, nil
	if err != nil {
		return fmt.Errorf("remove directory: %s: %w", w.full, err)
	}
	return nil
}

// removeKnown reports whether the directory is gone, because nothing was in it
// but the disk. Unlike the walk through a tree it needs no descriptor, and the
// server may have none left: that may be why the disk could not be made.
func (w *Dir) removeKnown() bool {
	wfd := int(w.dir.Fd())
	unix.Unlinkat(wfd, diskName, 0)
	var st unix.Stat_t
	// A command could have replaced the inner directory by a link.
	if w.inner != "" && unix.Fstatat(wfd, innerName, &st, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		st.Mode&unix.S_IFMT == unix.S_IFDIR {
		unix.Unlinkat(wfd, innerName+"/"+diskName, 0)
		unix.Unlinkat(wfd, innerName, unix.AT_REMOVEDIR)
	}
	return unix.Unlinkat(int(w.parent.Fd()), w.name, unix.AT_REMOVEDIR) == nil
}
