// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package workdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// A name that the sweep may remove is this prefix and exactly 20 hexadecimal
// digits. 80 random bits also make the name unguessable to a command that
// runs as another user, for whom the directory is not listable.
const prefix = "nbdkit-tmpdisk-"

func validName(name string) bool {
	random, ok := strings.CutPrefix(name, prefix)
	return ok && sys.IsRandomName(random)
}

// The two modes a directory of ours can have: private, or, once GiveTo was
// called, open to a passer-by who knows the name of what is inside.
const (
	modePrivate = 0o700
	modeGiven   = 0o711
)

// Dir is a private directory in which one disk is being made.
//
// It is locked (flock on the directory itself) from before anything is put
// into it until it is gone. The kernel drops the lock when this process dies,
// however it dies, and that is how a later server's sweep tells a dead
// server's directory from a live one's. The lock follows the open file
// description, so the descriptor must never reach a command: O_CLOEXEC.
//
// Limit: on a network filesystem that keeps flock local to each host, servers
// on two hosts must not share one TMPDIR.
//
// A Dir is for one goroutine at a time.
type Dir struct {
	full string // absolute path of the directory
	name string // its name in parent

	parent *os.File // O_PATH; nil once removed
	dir    *os.File // holds the lock
	inner  string   // "" or the absolute path of what Enter made
}

// The names that are known beforehand, see removeKnown.
const (
	diskName  = "disk"
	innerName = "d"
)

// New makes a directory with a new name under parent, of mode 0700
// whatever the umask, owned by this process and locked.
func New(parent string) (*Dir, error) {
	return newDir(parent, func(string) {})
}

// newDir calls beforeLock with the path of each directory that it has made and
// not locked yet, which is when a sweep can take it.
func newDir(parent string, beforeLock func(path string)) (*Dir, error) {
	abs, err := filepath.Abs(parent)
	if err != nil {
		return nil, fmt.Errorf("make directory: %s: %w", parent, err)
	}
	pfd, err := privdir.OpenDir(abs)
	if err != nil {
		return nil, fmt.Errorf("open directory: %w", err)
	}
	w := &Dir{parent: os.NewFile(uintptr(pfd), abs)}
	for range 100 {
		w.name = prefix + sys.RandomName()
		w.full = filepath.Join(abs, w.name)
		again, err := w.make(beforeLock)
		if err == nil {
			return w, nil
		}
		if !again {
			w.parent.Close()
			return nil, fmt.Errorf("make directory: %s: %w", w.full, err)
		}
	}
	w.parent.Close()
	return nil, fmt.Errorf("make directory: %s: no name could be kept in 100 attempts", abs)
}

// make creates and locks w.name. again is true if the name was lost to
// somebody else: it existed, or a sweep found it between mkdir and flock.
func (w *Dir) make(beforeLock func(string)) (again bool, err error) {
	pfd := int(w.parent.Fd())
	if err := unix.Mkdirat(pfd, w.name, modePrivate); err != nil {
		return errors.Is(err, unix.EEXIST), err
	}
	fd, err := sys.Openat(pfd, w.name, sys.OpenDir)
	if errors.Is(err, unix.EACCES) {
		// A umask that takes permissions from the owner.
		if err = unix.Fchmodat(pfd, w.name, modePrivate, 0); err == nil {
			fd, err = sys.Openat(pfd, w.name, sys.OpenDir)
		}
	}
	if err != nil {
		again = errors.Is(err, unix.ENOENT)
		if !again {
			unix.Unlinkat(pfd, w.name, unix.AT_REMOVEDIR)
		}
		return again, err
	}
	dir := os.NewFile(uintptr(fd), w.full)
	beforeLock(w.full)
	switch err := sys.Flock(fd); {
	case err == nil:
		if !sys.SameFile(pfd, w.name, fd) {
			dir.Close()
			return true, unix.ENOENT
		}
	case errors.Is(err, unix.EWOULDBLOCK):
		// Only a sweep locks what it did not make, and it removes it.
		dir.Close()
		return true, err
	default:
		// A filesystem that cannot lock a directory (NFS). The disk can
		// still be made; no sweep can take this lock either, so at worst
		// a crash leaves the directory for the administrator.
	}
	// A umask that takes the owner's write permission, unnoticed by open.
	if err := unix.Fchmod(fd, modePrivate); err != nil {
		dir.Close()
		unix.Unlinkat(pfd, w.name, unix.AT_REMOVEDIR)
		return false, err
	}
	w.dir = dir
	return false, nil
}

// Path is the absolute path of the directory that the disk is to be made in.
// It changes once, when Enter or GiveTo is called.
func (w *Dir) Path() string {
	if w.inner != "" {
		return w.inner
	}
	return w.full
}

// Disk is the path in there that the disk is to have.
func (w *Dir) Disk() string { return filepath.Join(w.Path(), diskName) }

// Enter makes a directory of mode 0700 inside w, and from then on Path returns
// that one. The sweep goes by the owner and mode of w, which thus stay what they
// are when a command changes those of its directory, as `cp -a DIR/. .` does.
func (w *Dir) Enter() error {
	inner := filepath.Join(w.full, innerName)
	if w.parent == nil || w.inner != "" {
		return fmt.Errorf("make directory: %s: %w", inner, os.ErrInvalid)
	}
	wfd := int(w.dir.Fd())
	if err := unix.Mkdirat(wfd, innerName, modePrivate); err != nil {
		return fmt.Errorf("make directory: %s: %w", inner, err)
	}
	// Whatever the umask.
	if err := unix.Fchmodat(wfd, innerName, modePrivate, 0); err != nil {
		return fmt.Errorf("chmod: %s: %w", inner, err)
	}
	w.inner = inner
	return nil
}

// GiveTo does what Enter does, and gives the inner directory to uid and gid, who may
// pass through w but not list it. Needs CAP_CHOWN.
func (w *Dir) GiveTo(uid, gid int) error {
	if err := w.Enter(); err != nil {
		return err
	}
	wfd := int(w.dir.Fd())
	err := unix.Fchownat(wfd, innerName, uid, gid, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil { // nobody but the new owner ever has access
		err = unix.Fchmod(wfd, modeGiven)
	}
	if err != nil {
		return fmt.Errorf("give directory: %s: %w", w.inner, err)
	}
	return nil
}

// TakeBack undoes GiveTo: the directory inside w is this process's own again,
// and nobody else can change what is in it, whatever its mode was made, be it
// through a descriptor or a working directory that was opened before.
func (w *Dir) TakeBack() error {
	if w.parent == nil || w.inner == "" {
		return fmt.Errorf("take back directory: %s: %w", w.full, os.ErrInvalid)
	}
	// Nobody can have replaced it: w itself was never given to anybody.
	fd, err := sys.OpenBeneath(int(w.dir.Fd()), filepath.Base(w.inner))
	if err != nil {
		return fmt.Errorf("open directory: %s: %w", w.inner, err)
	}
	defer unix.Close(fd)
	if err := unix.Fchown(fd, os.Geteuid(), os.Getegid()); err != nil {
		return fmt.Errorf("chown: %s: %w", w.inner, err)
	}
	if err := unix.Fchmod(fd, modePrivate); err != nil {
		return fmt.Errorf("chmod: %s: %w", w.inner, err)
	}
	return nil
}
