// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package privdir

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// A Kind is what a parameter of ours keeps in such directories.
type Kind struct {
	Parameter string // for errors
	Name      string // the directory's; the user's number is added, see maxNames
}

// maxNames is how many names the directory of one user may have: NAME-UID, NAME-UID.1 and
// so on. In a sticky directory, as /var/tmp is, another user may have taken the first
// ones. Of those that are left, the server takes the one that it had before, else the
// first that is free.
const maxNames = 100

// dirName is the name of a user's directory.
func (k Kind) dirName(uid int) string { return k.Name + "-" + strconv.Itoa(uid) }

// prefix is that of errors.
func (k Kind) prefix() string { return "parameter " + k.Parameter + ": " }

// Named is err with the parameter that it is about, once.
func (k Kind) Named(err error) error {
	if strings.Contains(err.Error(), k.prefix()) {
		return err
	}
	return fmt.Errorf("%s%w", k.prefix(), err)
}

// ErrNone says that nothing was ever kept.
var ErrNone = errors.New("no private directory")

// Check finds out without a side effect whether Open will succeed, as far as
// that can be known. Its errors do not name the parameter.
func (k Kind) Check(parent string) error {
	uid := finalUID()
	pfd, err := openDir(parent, uid)
	if err != nil {
		return err
	}
	defer unix.Close(pfd)
	if err := checkWritable(pfd, parent); err != nil || uid == anyUID {
		return err
	}
	d, err := k.find(pfd, parent, uid)
	if err != nil || d == nil {
		return err
	}
	d.Close()
	return nil
}

// Open opens this user's directory in parent, and makes it if create is set. If
// not, the error is ErrNone where there is none. Other errors name the parameter.
func (k Kind) Open(parent string, create bool) (*Dir, error) {
	d, err := k.open(parent, create)
	if err != nil && !errors.Is(err, ErrNone) {
		err = fmt.Errorf("%s%w", k.prefix(), err)
	}
	return d, err
}

func (k Kind) open(parent string, create bool) (*Dir, error) {
	uid := os.Geteuid()
	pfd, err := openDir(parent, uid)
	if err != nil {
		return nil, err
	}
	defer unix.Close(pfd)
	if create {
		// What is there can be read even if it has become read-only.
		if err := checkWritable(pfd, parent); err != nil && !errors.Is(err, unix.EROFS) {
			return nil, err
		}
	}
	d, err := k.find(pfd, parent, uid)
	if err != nil || d != nil {
		return d, err
	}
	if !create {
		return nil, ErrNone
	}
	for name := range k.names(pfd, uid) {
		err = unix.Mkdirat(pfd, name, 0o700)
		if err != nil && !errors.Is(err, unix.EEXIST) { // another server is as good
			return nil, fmt.Errorf("make directory: %s: %w", filepath.Join(parent, name), err)
		}
		return k.openIn(pfd, parent, name, uid)
	}
	return nil, fmt.Errorf("make directory: %s: %w: other users have made all of up to %d such names",
		filepath.Join(parent, k.dirName(uid)), unix.EEXIST, maxNames)
}

// find opens the directory that is there already; nil if there is none.
func (k Kind) find(pfd int, parent string, uid int) (*Dir, error) {
	for name := range k.names(pfd, uid) {
		d, err := k.openIn(pfd, parent, name, uid)
		if !errors.Is(err, unix.ENOENT) {
			return d, err
		}
	}
	return nil, nil
}

// names are those that the directory may have, without those that are another user's.
func (k Kind) names(pfd, uid int) iter.Seq[string] {
	return func(yield func(string) bool) {
		var st unix.Stat_t
		name, n := k.dirName(uid), maxNames
		if unix.Fstat(pfd, &st) != nil || st.Mode&0o022 == 0 {
			n = 1 // root or this user has made what is there
		}
		for i := range n {
			err := unix.Fstatat(pfd, name, &st, unix.AT_SYMLINK_NOFOLLOW)
			theirs := err == nil && st.Uid != 0 && int(st.Uid) != uid && n > 1
			if !theirs && !yield(name) {
				return
			}
			name = k.dirName(uid) + "." + strconv.Itoa(i+1)
		}
	}
}

func (k Kind) openIn(pfd int, parent, name string, uid int) (*Dir, error) {
	path := filepath.Join(parent, name)
	fd, err := openChecked(pfd, name, sys.OpenDir, unix.S_IFDIR, uid)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return newDir(&Dir{fd: fd, path: path, prefix: k.prefix(), uid: uid}), nil
}

// Shared opens a directory that others may read, and add files to if it is sticky, for
// temporary files and what becomes of them: see [OpenDir]. What is opened in it must be a
// regular file; whose it is does not matter.
func Shared(path string) (*Dir, error) {
	fd, err := OpenDir(path)
	if err != nil {
		return nil, err
	}
	return newDir(&Dir{fd: fd, path: path, uid: anyUID}), nil
}

// A Dir is such a directory, open.
type Dir struct {
	fd     int
	path   string
	prefix string // of errors
	uid    int    // whose alone what is in it must be, or anyUID
	users  atomic.Int64
}

func newDir(d *Dir) *Dir {
	d.users.Store(1)
	return d
}

// FD is the open directory's descriptor, until Close.
func (d *Dir) FD() int { return d.fd }

// Path is the directory's path, and Join that of what is in it.
func (d *Dir) Path() string { return d.path }

func (d *Dir) Join(name string) string { return filepath.Join(d.path, name) }

// Close frees the descriptor, if nobody else has d of an [Opened].
func (d *Dir) Close() {
	if d.users.Add(-1) == 0 {
		unix.Close(d.fd)
	}
}

// Open opens a regular file in d, and checks that it is this user's alone. A new
// file has mode 0600. The error wraps ENOENT if there is none, and names the
// parameter.
func (d *Dir) Open(name string, flags int) (*os.File, error) {
	const safe = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	fd, err := openChecked(d.fd, name, flags|safe, unix.S_IFREG, d.uid)
	if err != nil {
		return nil, fmt.Errorf("%s%s: %w", d.prefix, d.Join(name), err)
	}
	return os.NewFile(uintptr(fd), d.Join(name)), nil
}

// ErrReplaced says that a file lost its name before it was locked.
var ErrReplaced = errors.New("removed or replaced meanwhile")

// Lock opens a file as Open does, and takes its lock (flock), which goes with the
// file. It does not wait: the error wraps EWOULDBLOCK if somebody else has the
// lock, and ErrReplaced if it is no more the file of that name.
func (d *Dir) Lock(name string, flags int) (*os.File, error) {
	f, err := d.Open(name, flags)
	if err != nil {
		return nil, err
	}
	err = sys.Flock(int(f.Fd()))
	if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("%w: name a directory on a filesystem that has locks", err)
	} else if err == nil && !sys.SameFile(d.fd, name, int(f.Fd())) {
		err = ErrReplaced
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("%slock: %s: %w", d.prefix, d.Join(name), err)
	}
	return f, nil
}

// Names lists what is in d.
func (d *Dir) Names() ([]string, error) {
	fd, err := sys.Openat(d.fd, ".", sys.OpenDir)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), d.path)
	defer f.Close()
	return f.Readdirnames(-1)
}

// Remove removes a file. It is no error if there is none.
func (d *Dir) Remove(name string) error {
	if err := unix.Unlinkat(d.fd, name, 0); err != nil && err != unix.ENOENT {
		return fmt.Errorf("remove: %s: %w", d.Join(name), err)
	}
	return nil
}

// InPlace reports whether d is still the directory that its path leads to. Where that
// cannot be known, because the path does not answer, it is.
func (d *Dir) InPlace() bool {
	var byName, byFd unix.Stat_t
	if err := unix.Lstat(d.path, &byName); err != nil {
		return err != unix.ENOENT
	}
	return unix.Fstat(d.fd, &byFd) == nil && byName.Dev == byFd.Dev && byName.Ino == byFd.Ino
}
