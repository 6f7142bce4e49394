// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// The methods below are for one disk that a command makes as id. All are
// no-ops on nil.

// ownDisk gives path to id. Nothing of id runs yet, so path is what the server
// has just made.
func (id *identity) ownDisk(path string) error {
	if id == nil {
		return nil
	}
	return os.Lchown(path, id.uid, id.gid)
}

// checkDisk refuses what the server, as root, must not open on id's behalf:
// a link of either kind to somebody else's file, or a device. Nothing of id
// runs any more, but the command may have let others write to its directory.
// After takeBack path stays what it is.
func (id *identity) checkDisk(w *workdir, path string) error {
	if id == nil {
		return nil
	}
	if err := w.takeBack(); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fmt.Errorf("open: %s: what the command left: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != id.uid || st.Nlink != 1 {
		return fmt.Errorf("open: %s: with %s the disk must be a file of user %d's own, with one name: %w",
			path, id.pool.param, id.uid, unix.EPERM)
	}
	return nil
}
