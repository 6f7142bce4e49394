// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #include "shim.h"
import "C"

import (
	"strings"
	"unsafe"
)

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
