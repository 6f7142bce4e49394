// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"unsafe"
)

func cfree(p unsafe.Pointer) { C.free(p) }

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
// server is in the background. An error that a callback returns is logged
// without it. It may be called from any goroutine.
func Error(s string) {
	cs := C.CString(visibleNUL(s))
	defer cfree(unsafe.Pointer(cs))
	C.gonbdkit_error(cs)
}

// intern (nbdkit_strndup_intern) copies s into memory that nbdkit frees when
// the connection, or outside of connections the server, ends.
func intern(s string) (*C.char, error) {
	if strings.IndexByte(s, 0) != -1 {
		return nil, fmt.Errorf("nbdkit_strndup_intern: %q: NUL in the string: %w", s, syscall.EINVAL)
	}
	cs := C.CString(s)
	defer cfree(unsafe.Pointer(cs))
	p := C.gonbdkit_intern(cs, C.size_t(len(s)))
	if p == nil {
		return nil, errors.New("nbdkit_strndup_intern: no memory")
	}
	return p, nil
}
