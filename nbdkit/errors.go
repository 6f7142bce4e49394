// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"syscall"
	"unsafe"
)

// PluginError is an error with the errno that the client is to see. Any error
// that wraps a [syscall.Errno] does the same; this one is for when there is none
// to wrap.
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

// errnoOf is the one place where a Go error becomes an errno. An error that
// carries none, or none that nbdkit can take, is EIO and not ok.
func errnoOf(err error) (errno syscall.Errno, ok bool) {
	// The server aborts at a negative one. Linux has none above 4095.
	if errors.As(err, &errno) && errno > 0 && errno < 4096 {
		return errno, true
	}
	return syscall.EIO, false
}

// SetError (nbdkit_set_error) sets what the client gets if the callback of this
// goroutine fails with an error that carries no errno. It is simpler to return
// an error that does.
func SetError(errno syscall.Errno) {
	errno, _ = errnoOf(errno)
	C.gonbdkit_set_error(C.int(errno))
}

// A loggedError is not logged if Logged is true: the plugin has done so, or wants
// it not to be.
type loggedError interface{ Logged() bool }

// debugged is the errno of an error that is in the debug log.
type debugged struct{ syscall.Errno }

func (debugged) Logged() bool    { return true }
func (d debugged) Unwrap() error { return d.Errno }

// report tells the server of err, for the log and for the client.
func report(err error) {
	var l loggedError
	if !errors.As(err, &l) || !l.Logged() {
		Error(err.Error())
	}
	errno, ok := errnoOf(err)
	if !ok {
		errno = 0
	}
	C.gonbdkit_callback_failed(C.int(errno))
}

// guard calls f, a callback of the plugin's, and returns what C expects: 0, or
// -1 after the error has been reported. A panic becomes an error. callback is
// nbdkit's name for the callback.
func guard(callback string, f func() error) int {
	return int(guardValue(callback, func() (int64, error) { return 0, f() }))
}

// guardValue is guard for callbacks that return a number of their own, which
// must not be negative.
func guardValue(callback string, f func() (int64, error)) (ret int64) {
	defer func() {
		if v := recover(); v != nil {
			Error(fmt.Sprintf("%s: panic: %v\n%s", callback, v, debug.Stack()))
			C.gonbdkit_callback_failed(C.int(syscall.EIO))
			ret = -1
		}
	}()
	v, err := f()
	if err == nil && v < 0 {
		err = fmt.Errorf("%s: %d: the value is negative", callback, v)
	}
	if err != nil {
		report(err)
		return -1
	}
	return v
}

// guardString is guard for callbacks that return a string, or NULL for an error.
func guardString(callback string, f func() (string, error)) *C.char {
	var cs *C.char
	guard(callback, func() error {
		s, err := f()
		if err == nil {
			cs, err = intern(s)
		}
		return err
	})
	return cs
}

// guardVoid is guard for callbacks that cannot fail.
func guardVoid(callback string, f func()) {
	guard(callback, func() error { f(); return nil })
}

// visibleNUL lets a message with NUL bytes be logged whole.
func visibleNUL(s string) string { return strings.ReplaceAll(s, "\x00", `\x00`) }

// Debug (nbdkit_debug) writes s to the log if the server runs with -v. It may
// be called from any goroutine.
func Debug(s string) {
	cs := C.CString(visibleNUL(s))
	defer cfree(unsafe.Pointer(cs))
	C.gonbdkit_debug(cs)
}

// Error (nbdkit_error) writes s to the log: standard error, or syslog when the
// server is in the background. The errors that callbacks return are logged
// anyway. It may be called from any goroutine.
func Error(s string) {
	cs := C.CString(visibleNUL(s))
	defer cfree(unsafe.Pointer(cs))
	C.gonbdkit_error(cs)
}
