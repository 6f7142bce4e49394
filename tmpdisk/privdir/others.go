// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package privdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

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

// Others is an error that says who, besides root and this server's user, could change
// what has the status st, and what to do; nil if nobody could. The bits of the group
// tell of access control lists as well, whose mask they are.
func Others(st *unix.Stat_t) error { return others(st, os.Geteuid(), false) }

// others lets everybody add to a sticky directory such as /var/tmp if mayAdd is set:
// nobody can replace, rename or remove there what is somebody else's.
func others(st *unix.Stat_t, uid int, mayAdd bool) error {
	if owner := int(st.Uid); owner != 0 && owner != uid && uid != anyUID {
		may := "root"
		if uid != 0 {
			may = fmt.Sprintf("root or user %d, as whom this server runs", uid)
		}
		return fmt.Errorf("owned by user %d, who could change what is there: it must belong to %s", owner, may)
	}
	sticky := st.Mode&unix.S_IFMT == unix.S_IFDIR && st.Mode&unix.S_ISVTX != 0
	if st.Mode&0o022 != 0 && !(sticky && mayAdd) {
		remedy := "chmod go-w"
		if mayAdd {
			remedy += ", or chmod +t"
		}
		return fmt.Errorf("mode %04o: group or others could change what is there: %s", st.Mode&0o7777, remedy)
	}
	return nil
}

// OpenDir opens a directory (O_PATH) in which nobody else can replace anything, and in
// whose place nobody else can have put, or can put, another one.
//
// On the way there, a directory that all may write to must be sticky, and a symbolic link
// must be root's or the server's user's. A directory on the way may be another user's,
// like /var/lib/prometheus: he can put only links and directories of his own in its
// place, which are refused. It may also be a group's, as it is where each user has one.
func OpenDir(path string) (fd int, err error) { return openDir(path, os.Geteuid()) }

func openDir(path string, uid int) (int, error) {
	fd, err := walk(path, uid)
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
		err = others(&st, uid, true)
	}
	if err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("%s: %w", path, err)
	}
	return fd, nil
}

// maxLinks is how many the kernel follows.
const maxLinks = 40

// walk opens what path leads to, and looks at each directory and link on the way.
func walk(path string, uid int) (fd int, err error) {
	at, rest := ".", strings.Split(path, "/")
	if filepath.IsAbs(path) {
		at = "/"
	}
	fd, err = enter(unix.AT_FDCWD, at)
	defer func() {
		if err != nil && fd >= 0 {
			unix.Close(fd)
			fd = -1
		}
	}()
	for links := 0; err == nil && len(rest) > 0; {
		name := rest[0]
		if rest = rest[1:]; name == "" || name == "." {
			continue
		}
		var st unix.Stat_t
		if err = unix.Fstat(fd, &st); err == nil && st.Mode&0o002 != 0 && st.Mode&unix.S_ISVTX == 0 {
			err = fmt.Errorf("%s has mode %04o: others could replace what is in it: chmod o-w, or chmod +t", at, st.Mode&0o7777)
		}
		if err == nil {
			err = unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
		}
		at = filepath.Join(at, name)
		switch owner := int(st.Uid); {
		case err != nil:
		case st.Mode&unix.S_IFMT != unix.S_IFLNK:
			err = replaceFD(&fd, fd, name)
		case owner != 0 && owner != uid && uid != anyUID:
			err = fmt.Errorf("%s is a symbolic link of user %d, who could have it lead elsewhere", at, owner)
		case links == maxLinks:
			err = unix.ELOOP
		default:
			links++
			var target string
			if target, err = readlink(fd, name); err == nil && filepath.IsAbs(target) {
				at, err = "/", replaceFD(&fd, unix.AT_FDCWD, "/")
			} else {
				at = filepath.Dir(at)
			}
			rest = append(strings.Split(target, "/"), rest...)
		}
	}
	return fd, err
}

func replaceFD(fd *int, dirfd int, name string) error {
	next, err := enter(dirfd, name)
	if err == nil {
		unix.Close(*fd)
		*fd = next
	}
	return err
}

// enter opens a directory that is not a link.
func enter(dirfd int, name string) (int, error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
	// With the dot, what an automounter has to mount there is mounted.
	fd, err := unix.Openat2(dirfd, name+"/.", &unix.OpenHow{Flags: flags, Resolve: unix.RESOLVE_NO_SYMLINKS})
	// The last one need not be one that may be searched, which its dot asks for. EPERM
	// and ENOSYS are a container's filter's.
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		fd, err = sys.Openat(dirfd, name, flags|unix.O_NOFOLLOW)
	}
	return fd, err
}

func readlink(dirfd int, name string) (string, error) {
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(dirfd, name, buf)
	return string(buf[:max(n, 0)]), err
}

// CheckTrust is why OpenDir refuses a directory that is there; nil if it does not. Root
// is asked before it knows as whom it is going to run, see CheckDir.
func CheckTrust(path string) error {
	fd, err := openDir(path, finalUID())
	if err == nil {
		unix.Close(fd)
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		return nil // it could not be looked at, and may appear
	}
	return err
}

// CheckDir finds out without a side effect whether this server will be able to keep
// something in the directory path, see [OpenDir]. Before the server forks, root does not
// know as whom it is going to run: then the owner may be anybody.
func CheckDir(path string) error {
	fd, err := openDir(path, finalUID())
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return checkWritable(fd, path)
}
