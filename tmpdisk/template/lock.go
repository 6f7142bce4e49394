// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package template

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
)

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
	return nil, errLocked // others are at it
}

// unlock gives up a lock of tryLock's.
func (d dir) unlock(lock *os.File) {
	d.Discard(lock) // if this fails the next sweep removes the file: nobody depends on it
	lock.Close()
}
