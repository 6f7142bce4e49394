// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package template

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
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

// dir is the private directory, open.
type dir struct {
	fd   int
	path string
}

func dirName(uid int) string {
	return "nbdkit-tmpdisk-templates-" + strconv.Itoa(uid)
}

// CheckDir finds out without a side effect whether openDir
// will succeed, as far as that can be known.
func CheckDir(parent string) error {
	uid := os.Geteuid()
	if uid == 0 {
		uid = anyUID
	}
	pfd, err := openParent(parent, uid)
	if err != nil {
		return err
	}
	defer unix.Close(pfd)
	if err := checkWritable(pfd, parent); err != nil {
		return err
	}
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

// errNoDir says that no template was ever kept.
var errNoDir = errors.New("no private directory")

// openDir opens this user's private directory in parent, and makes it if create
// is set. If not, the error is errNoDir where there is none.
func openDir(parent string, create bool) (*dir, error) {
	uid := os.Geteuid()
	pfd, err := openParent(parent, uid)
	if err != nil {
		return nil, fmt.Errorf("parameter template-dir: %w", err)
	}
	defer unix.Close(pfd)
	if create {
		// What is there can be cloned even if it has become read-only.
		err := checkWritable(pfd, parent)
		if err != nil && !errors.Is(err, unix.EROFS) {
			return nil, fmt.Errorf("parameter template-dir: %w", err)
		}
		err = unix.Mkdirat(pfd, dirName(uid), 0o700)
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return nil, fmt.Errorf("parameter template-dir: make directory: %s: %w",
				filepath.Join(parent, dirName(uid)), err)
		}
	}
	d, err := openPrivate(pfd, parent, uid)
	if errors.Is(err, unix.ENOENT) && !create {
		return nil, errNoDir
	}
	if err != nil {
		return nil, fmt.Errorf("parameter template-dir: %w", err)
	}
	return d, nil
}

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
		return fmt.Errorf("%s: %w: templates cannot be kept there", path, err)
	case err != nil:
		return fmt.Errorf("%s: not writable by user %d: %w", path, os.Geteuid(), err)
	}
	return nil
}

func openPrivate(pfd int, parent string, uid int) (*dir, error) {
	name := dirName(uid)
	path := filepath.Join(parent, name)
	fd, err := openChecked(pfd, name, sys.OpenDir, unix.S_IFDIR, uid)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &dir{fd: fd, path: path}, nil
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

func (d *dir) close() { unix.Close(d.fd) }

func (d *dir) join(name string) string { return filepath.Join(d.path, name) }

// open opens a file in d and checks it. The error wraps ENOENT if there is none.
func (d *dir) open(name string, flags int) (*os.File, error) {
	const safe = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err := openChecked(d.fd, name, flags|safe, unix.S_IFREG, os.Geteuid())
	if err != nil {
		return nil, fmt.Errorf("parameter template-dir: %s: %w", d.join(name), err)
	}
	return os.NewFile(uintptr(fd), d.join(name)), nil
}

// template opens the template called key. The error wraps ENOENT if there is
// none.
func (d *dir) template(key string) (*os.File, error) {
	return d.open(key, unix.O_RDONLY)
}

// touch notes that a template was used, for the sweep to go by.
func (d *dir) touch(key string) error {
	now := []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	return unix.UtimesNanoAt(d.fd, key, now, unix.AT_SYMLINK_NOFOLLOW)
}

// keep makes a template called key of the file that fd is open on, and returns
// it. The lock of key must be held.
func (d *dir) keep(ctx context.Context, key string, fd int) (*os.File, sparse.Result, error) {
	name := key + ".tmp." + sys.RandomName()
	f, err := d.open(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return nil, sparse.Result{}, err
	}
	r, err := sparse.Clone(ctx, int(f.Fd()), fd, sparse.Options{FindZeroes: true})
	if err == nil {
		// The name must not outlive the data when the power fails.
		err = sys.Retry(func() error { return unix.Fsync(int(f.Fd())) })
	}
	if err == nil {
		err = unix.Renameat(d.fd, name, d.fd, key)
	}
	if errors.Is(err, unix.ENOENT) {
		// Somebody has tidied up. The next disk gets a template.
		return f, r, nil
	}
	if err != nil {
		unix.Unlinkat(d.fd, name, 0)
		f.Close()
		return nil, r, fmt.Errorf("parameter template-dir: keep template: %s: %w", d.join(key), err)
	}
	return f, r, nil
}
