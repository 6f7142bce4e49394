// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"errors"

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

// Cause is the error number in err, without what was tried; err itself if it has none.
func Cause(err error) error {
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return err
}
