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

// anyUID stands for a user that is not known yet: root may be about to become
// another (nbdkit -u).
const anyUID = -1

// finalUID is the user as whom this server is going to run.
func finalUID() int {
	if uid := os.Geteuid(); uid != 0 {
		return uid
	}
	return anyUID
}

// Trust is what must be true of a directory.
type Trust bool

const (
	// NoneReplaces: nobody but root and the server's user can replace, rename or
	// remove what is in it. A sticky directory such as /var/tmp is as good as one
	// that others cannot write to.
	NoneReplaces Trust = false
	// NoneAdds: nor can anybody add anything.
	NoneAdds Trust = true
)

// Others is an error that says who, besides root and this server's user, could change
// what has the status st, and what to do; nil if nobody could. The bits of the group
// tell of access control lists as well, whose mask they are.
func Others(st *unix.Stat_t, trust Trust) error { return others(st, os.Geteuid(), trust) }

func others(st *unix.Stat_t, uid int, trust Trust) error {
	if owner := int(st.Uid); owner != 0 && owner != uid && uid != anyUID {
		may := "root"
		if uid != 0 {
			may = fmt.Sprintf("root or user %d, as whom this server runs", uid)
		}
		return fmt.Errorf("owned by user %d, who could change what is there: it must belong to %s", owner, may)
	}
	sticky := st.Mode&unix.S_IFMT == unix.S_IFDIR && st.Mode&unix.S_ISVTX != 0
	if st.Mode&0o022 != 0 && !(sticky && trust == NoneReplaces) {
		remedy := "chmod go-w"
		if trust == NoneReplaces {
			remedy += ", or chmod +t"
		}
		return fmt.Errorf("mode %04o: group or others could change what is there: %s", st.Mode&0o7777, remedy)
	}
	return nil
}

// openDir opens a directory (O_PATH) unless others has something against it.
func openDir(path string, uid int, trust Trust) (int, error) {
	fd, err := sys.Openat(unix.AT_FDCWD, path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	switch {
	case errors.Is(err, unix.ENOENT):
		return -1, fmt.Errorf("%s: %w: create it, or name a directory that is there", path, err)
	case errors.Is(err, unix.ENOTDIR):
		return -1, fmt.Errorf("%s: %w: name a directory", path, err)
	case err != nil:
		return -1, fmt.Errorf("%s: %w", path, err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		err = others(&st, uid, trust)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("%s: %w", path, err)
	}
	return fd, nil
}

// CheckDir finds out without a side effect whether this server will be able to keep
// something in the directory path, which must be trusted as far as NoneReplaces. Before
// the server forks, root does not know as whom it is going to run: then the owner may
// be anybody.
func CheckDir(path string) error {
	fd, err := openWritable(path, finalUID())
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func openWritable(path string, uid int) (int, error) {
	fd, err := openDir(path, uid, NoneReplaces)
	if err != nil {
		return -1, err
	}
	if err := checkWritable(fd, path); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
