// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	"runtime/cgo"
	"unsafe"
)

// connection is what answers nbdkit's callbacks for the plugin's connection.
type connection struct{ ConnectionInterface }

// newHandle returns what nbdkit holds of c: a struct of C's that leads to it.
func newHandle(c *connection) unsafe.Pointer {
	fd := -1
	if i, ok := c.ConnectionInterface.(DirectFDer); ok {
		guardVoid("open", func() { fd = i.DirectFD() })
	}
	h := (*C.struct_gonbdkit_connection)(C.malloc(C.sizeof_struct_gonbdkit_connection))
	*h = C.struct_gonbdkit_connection{connection: C.uintptr_t(cgo.NewHandle(c)), direct_fd: C.int(fd)}
	return unsafe.Pointer(h)
}

func connectionOf(handle unsafe.Pointer) cgo.Handle {
	return cgo.Handle((*C.struct_gonbdkit_connection)(handle).connection)
}

// conn panics for a handle that is not open, which would be nbdkit's mistake.
func conn(handle unsafe.Pointer) *connection {
	return connectionOf(handle).Value().(*connection)
}

func deleteHandle(handle unsafe.Pointer) {
	connectionOf(handle).Delete()
	C.free(handle)
}
