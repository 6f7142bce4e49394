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
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Who could change a template could change every disk, so templates are in a
// private directory.
//
// A template's key is 64 hexadecimal digits. The files are
//
//	KEY             the template, whole
//	KEY.lock        locked (flock) by who builds or removes KEY; else not there
//	KEY.tmp.RANDOM  what is to become KEY, while KEY.lock is locked

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

// touch notes that a template was used, for the sweep to go by.
func (d dir) touch(key string) error {
	now := []unix.Timespec{{Nsec: unix.UTIME_NOW}, {Nsec: unix.UTIME_NOW}}
	return unix.UtimesNanoAt(d.FD(), key, now, unix.AT_SYMLINK_NOFOLLOW)
}

// keep makes a template called key of the file that fd is open on, and returns
// it. The lock of key must be held.
func (d dir) keep(ctx context.Context, key string, fd int) (*os.File, sparse.Result, error) {
	name := key + ".tmp." + sys.RandomName()
	f, err := d.Open(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return nil, sparse.Result{}, err
	}
	r, err := sparse.Clone(ctx, int(f.Fd()), fd, sparse.Options{FindZeroes: true})
	if err == nil {
		// The name must not outlive the data when the power fails.
		err = sys.Retry(func() error { return unix.Fsync(int(f.Fd())) })
	}
	if err == nil {
		err = unix.Renameat(d.FD(), name, d.FD(), key)
	}
	if errors.Is(err, unix.ENOENT) {
		// Somebody has tidied up. The next disk gets a template.
		return f, r, nil
	}
	if err != nil {
		unix.Unlinkat(d.FD(), name, 0)
		f.Close()
		return nil, r, fmt.Errorf("parameter template-dir: keep template: %s: %w", d.Join(key), err)
	}
	return f, r, nil
}
