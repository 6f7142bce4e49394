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

// cstring converts s for a call of function. It is an error if the server does not
// have the function, or if s has a NUL, at which C would cut it off.
func cstring(function, s string) (cs *C.char, free func(), err error) {
	if err := need(function); err != nil {
		return nil, nil, err
	}
	if strings.IndexByte(s, 0) != -1 {
		return nil, nil, fmt.Errorf("%s: %q: NUL in the string: %w", function, s, syscall.EINVAL)
	}
	cs = C.CString(s)
	return cs, func() { cfree(unsafe.Pointer(cs)) }, nil
}

// intern (nbdkit_strndup_intern) copies s into memory that nbdkit frees when
// the connection, or outside of connections the server, ends.
func intern(s string) (*C.char, error) {
	cs, free, err := cstring("nbdkit_strndup_intern", s)
	if err != nil {
		return nil, err
	}
	defer free()
	p := C.nbdkit_strndup_intern(cs, C.size_t(len(s)))
	if p == nil {
		return nil, errors.New("nbdkit_strndup_intern: no memory")
	}
	return p, nil
}

// ownedString calls function, as f, and takes over the string that it returns.
func ownedString(function string, f func() *C.char) (string, error) {
	if err := need(function); err != nil {
		return "", err
	}
	s := f()
	if s == nil {
		return "", errors.New(function + ": the server has logged the cause")
	}
	defer cfree(unsafe.Pointer(s))
	return C.GoString(s), nil
}

func cfree(p unsafe.Pointer) { C.free(p) }
