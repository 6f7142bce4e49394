// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package privdir

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

func checkWritable(fd int, path string) error {
	err := unix.Faccessat(fd, ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS)
	switch {
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%s: %w: nothing can be kept there", path, err)
	case err != nil:
		return fmt.Errorf("%s: not writable by user %d: %w", path, os.Geteuid(), err)
	}
	return nil
}

// openChecked opens name in dirfd, which must be of type want and private to
// uid.
func openChecked(dirfd int, name string, flags int, want uint32, uid int) (int, error) {
	var st unix.Stat_t
	fd, err := sys.Retry2(func() (int, error) { return unix.Openat(dirfd, name, flags, 0o600) })
	if err != nil {
		// What it is says more than why it could not be opened.
		if unix.Fstatat(dirfd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			if why := notPrivate(&st, want, uid); why != nil {
				err = why
			}
		}
		return -1, err
	}
	if err = unix.Fstat(fd, &st); err == nil {
		err = notPrivate(&st, want, uid)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// notPrivate says what is wrong with something that must be of this type,
// belong to uid unless that is anyUID, and be of no use to anybody else then.
func notPrivate(st *unix.Stat_t, want uint32, uid int) error {
	const remedy = "this server did not make it so: look who did, then remove it"
	switch mode := st.Mode & unix.S_IFMT; {
	case mode == unix.S_IFLNK:
		return errors.New("is a symbolic link: " + remedy)
	case mode != want && want == unix.S_IFDIR:
		return errors.New("is not a directory: " + remedy)
	case mode != want:
		return errors.New("is not a regular file: " + remedy)
	case uid == anyUID:
		return nil
	case int(st.Uid) != uid:
		return fmt.Errorf("is owned by user %d, not by user %d: %s", st.Uid, uid, remedy)
	case st.Mode&0o077 != 0:
		return fmt.Errorf("has mode %04o, which lets group or others in: %s", st.Mode&0o7777, remedy)
	}
	return nil
}
