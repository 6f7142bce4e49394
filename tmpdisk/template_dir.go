// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"

	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// What a server clones for its clients it must be sure of: who could change a
// template could change every disk. So templates are in a directory that only
// this user can enter, below one in which nobody else can replace it, and each
// thing is checked by its open descriptor before it is used.
//
// A template's key is 64 hexadecimal digits. The files are
//
//	KEY             the template, whole
//	KEY.lock        locked (flock) by who builds or removes KEY; else not there
//	KEY.tmp.RANDOM  what is to become KEY, while KEY.lock is locked

// anyUID stands for a user that is not known yet: root may be about to become
// another (nbdkit -u).
const anyUID = -1

// templateDir is the private directory, open.
type templateDir struct {
	fd   int
	path string
}

func templateDirName(uid int) string {
	return "nbdkit-tmpdisk-templates-" + strconv.Itoa(uid)
}

// checkTemplateDir finds out without a side effect whether openTemplateDir
// will succeed, as far as that can be known.
func checkTemplateDir(parent string) error {
	uid := os.Geteuid()
	if uid == 0 {
		uid = anyUID
	}
	pfd, err := openTemplateParent(parent, uid)
	if err != nil {
		return err
	}
	defer unix.Close(pfd)
	if uid == anyUID {
		return nil
	}
	d, err := openPrivate(pfd, parent, uid)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return err
	}
	d.close()
	return nil
}

// openTemplateDir opens this user's private directory in parent, and makes it
// if create is set. Without, it is no error that there is none: nil, nil.
func openTemplateDir(parent string, create bool) (*templateDir, error) {
	uid := os.Geteuid()
	pfd, err := openTemplateParent(parent, uid)
	if err != nil {
		return nil, fmt.Errorf("parameter template-dir: %w", err)
	}
	defer unix.Close(pfd)
	if create {
		err := unix.Mkdirat(pfd, templateDirName(uid), modePrivate)
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, fmt.Errorf("parameter template-dir: make directory: %s: %w",
				filepath.Join(parent, templateDirName(uid)), err)
		}
	}
	d, err := openPrivate(pfd, parent, uid)
	if errors.Is(err, unix.ENOENT) && !create {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("parameter template-dir: %w", err)
	}
	return d, nil
}

func openTemplateParent(path string, uid int) (int, error) {
	fd, err := sys.Openat(unix.AT_FDCWD, path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC)
	switch {
	case errors.Is(err, unix.ENOENT):
		return -1, fmt.Errorf("%s: %w: create it, or name one that is there", path, err)
	case err != nil:
		return -1, fmt.Errorf("%s: %w: name a directory", path, err)
	}
	if err := checkTemplateParent(fd, uid); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("%s: %w", path, err)
	}
	return fd, nil
}

func checkTemplateParent(fd, uid int) error {
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
	err := unix.Faccessat(fd, ".", unix.W_OK|unix.X_OK, unix.AT_EACCESS)
	switch {
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w: templates cannot be kept there", err)
	case err != nil:
		return fmt.Errorf("not writable by user %d: %w", os.Geteuid(), err)
	}
	return nil
}

func openPrivate(pfd int, parent string, uid int) (*templateDir, error) {
	name := templateDirName(uid)
	path := filepath.Join(parent, name)
	fd, err := sys.Openat(pfd, name, sys.OpenDir)
	if err != nil {
		// What it is says more than why it could not be opened.
		var st unix.Stat_t
		if unix.Fstatat(pfd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			if why := notPrivate(&st, unix.S_IFDIR, uid); why != nil {
				err = why
			}
		}
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		err = notPrivate(&st, unix.S_IFDIR, uid)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &templateDir{fd: fd, path: path}, nil
}

// notPrivate says what is wrong with something that must be of this type,
// belong to uid, and be of no use to anybody else.
func notPrivate(st *unix.Stat_t, want uint32, uid int) error {
	const remedy = "this server did not make it so: look who did, then remove it"
	switch mode := st.Mode & unix.S_IFMT; {
	case mode == unix.S_IFLNK:
		return errors.New("is a symbolic link: " + remedy)
	case mode != want && want == unix.S_IFDIR:
		return errors.New("is not a directory: " + remedy)
	case mode != want:
		return errors.New("is not a regular file: " + remedy)
	case int(st.Uid) != uid:
		return fmt.Errorf("is owned by user %d, not by user %d: %s", st.Uid, uid, remedy)
	case st.Mode&0o077 != 0:
		return fmt.Errorf("has mode %04o, which lets group or others in: %s", st.Mode&0o7777, remedy)
	}
	return nil
}

func (d *templateDir) close() { unix.Close(d.fd) }

func (d *templateDir) join(name string) string { return filepath.Join(d.path, name) }

// open opens a file in d and checks it. The error wraps ENOENT if there is none.
func (d *templateDir) open(name string, flags int) (*os.File, error) {
	const safe = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err := sys.Retry2(func() (int, error) { return unix.Openat(d.fd, name, flags|safe, 0o600) })
	if err != nil {
		var st unix.Stat_t
		if unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil {
			if why := notPrivate(&st, unix.S_IFREG, os.Geteuid()); why != nil {
				err = why
			}
		}
		return nil, fmt.Errorf("parameter template-dir: %s: %w", d.join(name), err)
	}
	f := os.NewFile(uintptr(fd), d.join(name))
	var st unix.Stat_t
	if err = unix.Fstat(fd, &st); err == nil {
		err = notPrivate(&st, unix.S_IFREG, os.Geteuid())
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("parameter template-dir: %s: %w", d.join(name), err)
	}
	return f, nil
}

// template opens the template called key, nil if there is none.
func (d *templateDir) template(key string) (*os.File, error) {
	f, err := d.open(key, unix.O_RDONLY)
	if errors.Is(err, unix.ENOENT) {
		return nil, nil
	}
	return f, err
}

// touch notes that a template was used, for the sweep to go by.
func (d *templateDir) touch(key string) error {
	now := []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	return unix.UtimesNanoAt(d.fd, key, now, unix.AT_SYMLINK_NOFOLLOW)
}
