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

func openParent(path string, uid int) (int, error) {
	fd, err := sys.Openat(unix.AT_FDCWD, path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	switch {
	case errors.Is(err, unix.ENOENT):
		return -1, fmt.Errorf("%s: %w: create it, or name one that is there", path, err)
	case err != nil:
		return -1, fmt.Errorf("%s: %w: name a directory", path, err)
	}
	if err := checkParent(fd, uid); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("%s: %w", path, err)
	}
	return fd, nil
}

func checkParent(fd, uid int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if owner := int(st.Uid); owner != 0 && owner != uid && uid != anyUID {
		return fmt.Errorf("owned by user %d, who could replace what is in it: "+
			"it must belong to user %d, as whom this server runs, or to root", owner, uid)
	}
	// A sticky directory, such as /var/tmp, is as good: in it nobody can
	// rename or remove what is another's.
	if st.Mode&0o022 != 0 && st.Mode&unix.S_ISVTX == 0 {
		return fmt.Errorf("mode %04o: group or others could replace what is in it: "+
			"chmod go-w, or name another directory", st.Mode&0o7777)
	}
	return nil
}

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
