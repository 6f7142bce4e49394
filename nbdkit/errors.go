// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"errors"
	"syscall"
)

// PluginError is an error with the errno that the client shall see. Any error
// in whose chain there is a [syscall.Errno] does the same; this one is for
// those that have none.
type PluginError struct {
	Errmsg string        // passed to nbdkit_error
	Errno  syscall.Errno // passed to nbdkit_set_error; 0 means EIO
}

// String returns the message, and the errno's text if there is an errno.
func (e PluginError) String() string {
	if e.Errno == 0 {
		return e.Errmsg
	}
	return e.Errmsg + ": " + e.Errno.Error()
}

// Error implements error.
func (e PluginError) Error() string {
	return e.String()
}

// Unwrap returns Errno, or nil if it is 0.
func (e PluginError) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// errnoOf is the one place where a Go error becomes an errno.
func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	// The server aborts at a negative one. Linux has none above 4095.
	if errors.As(err, &errno) && errno > 0 && errno < 4096 {
		return errno
	}
	return syscall.EIO
}

// report tells the server of err, for the log and for the client.
func report(err error) {
	Error(err.Error())
	SetError(errnoOf(err))
}
