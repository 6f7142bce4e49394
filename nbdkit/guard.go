// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #include "shim.h"
import "C"

import (
	"fmt"
	"runtime/debug"
	"syscall"
)

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
