// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
	"nbdkit-tmpdisk-plugin/tmpdisk/users"
	"nbdkit-tmpdisk-plugin/tmpdisk/workdir"
)

// linkedTo says what the disk in w, under parent, is called elsewhere, as far as can be seen
// now; "" if it looks as if it goes with w. The number of its names alone does
// not tell later: on NFS a removed file has one as long as it is open.
func linkedTo(w *workdir.Dir, parent string) string {
	path := w.Disk()
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSymlink != 0 {
		to, err := filepath.EvalSymlinks(path)
		if err != nil {
			return path
		}
		path = to
		if within, err := filepath.EvalSymlinks(w.Path()); err != nil || !strings.HasPrefix(path, within+"/") {
			return path
		}
	}
	if !sys.SameMount(parent+"/.", path) {
		return "a file that it has mounted"
	}
	var st unix.Stat_t
	if unix.Lstat(path, &st) == nil && st.Nlink > 1 {
		return "a file that has another name"
	}
	return ""
}

// Servable is why a client must not have d, or nil: the command has linked it to a
// file that other clients would have too. What has been copied is no longer linked.
func Servable(d *disk.Disk) error {
	if to := d.Linked; to != "" {
		return fmt.Errorf("open: the command linked its disk to %s, which all clients would share and change: "+
			"copy it (cp --reflink=auto), or link to a block device: %w", to, unix.EMLINK)
	}
	return nil
}

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
