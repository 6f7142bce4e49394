// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// A signal to the server, one of Go's own for example, may interrupt any slow
// system call.

// Retry calls call until its error is not EINTR.
func Retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// Retry2 is Retry for a call that also returns a value.
func Retry2[T any](call func() (T, error)) (T, error) {
	for {
		if v, err := call(); err != unix.EINTR {
			return v, err
		}
	}
}

// NoRoom reports whether err says that a filesystem has no room, or no quota.
func NoRoom(err error) bool { return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) }

// Cause is the error number in err, without what was tried; err itself if it has none.
func Cause(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}

// Pwrite writes all of buf to the file that fd is open on, from off on. n is how many
// bytes were written if it fails. It allocates nothing unless it fails.
func Pwrite(fd int, buf []byte, off int64) (n int, err error) {
	for n < len(buf) {
		m, err := unix.Pwrite(fd, buf[n:], off+int64(n))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return n, err
		case m == 0:
			return n, fmt.Errorf("nothing was written: %w", unix.EIO)
		}
		n += m
	}
	return n, nil
}

// A Backoff is a pause that grows between attempts: First, then twice as long
// each time, up to Last. It needs both, and has no lock of its own.
type Backoff struct {
	First, Last time.Duration

	pause time.Duration
}

// Next returns how long to wait before the next attempt.
func (b *Backoff) Next() time.Duration {
	b.pause = min(max(2*b.pause, b.First), b.Last)
	return b.pause
}

// DeathPatience is how long it is waited for what was killed. Only a process that the
// kernel itself has blocked, on a dead NFS server say, or a machine with far too much to
// do, takes longer than an instant to die.
const DeathPatience = 10 * time.Second
