// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/users"
)

// giveDisk gives path to u. Nothing of u runs yet, so path is what the server
// has just made.
func giveDisk(u *users.User, path string) error {
	return os.Lchown(path, u.UID, u.GID)
}

// takeBackDisk refuses what the server, as root, must not open on u's behalf:
// a link of either kind to somebody else's file, or a device. Nothing of u
// runs any more, but the command may have let others write to its directory.
// After takeBack path stays what it is.
func takeBackDisk(u *users.User, w *workdir, path string) error {
	if err := w.takeBack(); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fmt.Errorf("open: %s: what the command left: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != u.UID || st.Nlink != 1 {
		return fmt.Errorf("open: %s: with %s the disk must be a file of user %d's own, with one name: %w",
			path, u.Parameter, u.UID, unix.EPERM)
	}
	return nil
}
