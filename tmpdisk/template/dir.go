// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package template

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
)

// Whoever could change a template could change every disk, so templates are in a
// private directory.
//
// A template's key is 64 hexadecimal digits. The files are
//
//	KEY             the template, whole
//	KEY.lock        locked (flock) by whoever builds or removes KEY; else not there
//	KEY.tmp.RANDOM  what is to become KEY: a temporary file as package privdir has it

// Directories are the private directories in a template-dir.
var Directories = privdir.Kind{Parameter: "template-dir", Name: "nbdkit-tmpdisk-templates"}

// dir is the private directory, open.
type dir struct{ *privdir.Dir }

func openDir(parent string, create bool) (dir, error) {
	d, err := Directories.Open(parent, create)
	return dir{d}, err
}

// template opens the template called key. The error wraps ENOENT if there is
// none.
func (d dir) template(key string) (*os.File, error) {
	return d.Open(key, unix.O_RDONLY)
}

// touch notes that a template was used. The sweep goes by that time.
func (d dir) touch(key string) error {
	now := []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	return unix.UtimesNanoAt(d.FD(), key, now, unix.AT_SYMLINK_NOFOLLOW)
}

// keep makes a template called key of the file that fd is open on. The lock of key
// must be held. The error wraps ENOENT if somebody has tidied up.
func (d dir) keep(ctx context.Context, key string, fd int) (sparse.Result, error) {
	f, _, err := d.Temp(key)
	if err != nil {
		return sparse.Result{}, err
	}
	defer f.Close()
	r, err := sparse.Clone(ctx, int(f.Fd()), fd, sparse.Options{FindZeroes: true})
	if err == nil {
		// The name must not outlive the data when the power fails.
		err = f.Sync()
	}
	if err == nil {
		err = d.Publish(f, key, false)
	}
	if err != nil {
		d.Discard(f)
		return r, fmt.Errorf("parameter template-dir: keep template: %s: %w", d.Join(key), err)
	}
	return r, nil
}

// The lock of a template is the right to build or remove it. One goroutine of one of
// this user's processes has it at a time. Those who only read a template do not
// need it: they have the template open.
//
// Whoever holds the lock removes its file when they give it up. So the lock of a file
// that has no name any more is worth nothing: whoever gets that tries again.

// errLocked says that somebody else has the lock.
var errLocked = errors.New("locked by another")

// tryLock returns errLocked if somebody else has the lock of key.
func (d dir) tryLock(key string) (*os.File, error) {
	for range 100 {
		f, err := d.Lock(key+".lock", unix.O_RDWR|unix.O_CREAT)
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return nil, errLocked
		case !errors.Is(err, privdir.ErrReplaced):
			return nil, err
		}
	}
	return nil, errLocked // others keep taking and removing it
}

// unlock gives up a lock of tryLock's.
func (d dir) unlock(lock *os.File) {
	d.Discard(lock) // if this fails the next sweep removes the file: nobody depends on it
	lock.Close()
}
