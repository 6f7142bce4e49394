// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"fmt"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/users"
	"nbdkit-tmpdisk-plugin/tmpdisk/workdir"
)

// takeDiskBack takes the directory back, and refuses a disk that the server, as
// root, must not open on user's behalf: a link of either kind to somebody
// else's file, or a device. Nothing of user runs any more, but the command may
// have let others write to its directory. Once it is taken back, the path keeps
// standing for what has been looked at.
func takeDiskBack(w *workdir.Dir, user *users.User) error {
	if err := w.TakeBack(); err != nil {
		return err
	}
	path := w.Disk()
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return fmt.Errorf("open: %s: what the command left: %w", path, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || int(st.Uid) != user.UID || st.Nlink != 1 {
		return fmt.Errorf("open: %s: with command-user the disk must be a file of user %d's own, with one name: %w",
			path, user.UID, unix.EPERM)
	}
	return nil
}
