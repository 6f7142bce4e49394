// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #include <stdlib.h>
// #include "shim.h"
import "C"

import (
	mathbits "math/bits"
	"runtime"
	"runtime/cgo"
	"unsafe"
)

// connection is what answers nbdkit's callbacks for the plugin's connection.
type connection struct {
	ConnectionInterface
	pinner runtime.Pinner // of what C holds: the gate, the counts and the map
}

// newHandle returns what nbdkit holds of c: a struct of C's that leads to it.
func newHandle(c *connection) unsafe.Pointer {
	// Zeroed first, because a pointer is stored in it: the garbage collector
	// looks at what was there before.
	h := (*C.struct_gonbdkit_connection)(C.calloc(1, C.sizeof_struct_gonbdkit_connection))
	h.go_handle = C.uintptr_t(cgo.NewHandle(c))
	h.direct_fd = -1
	guardVoid("open", func() { offerDirect(c, h) })
	return unsafe.Pointer(h)
}

// offerDirect fills in what direct.c needs. The descriptor comes last: if
// DirectGate panics, there is no direct path rather than one without a gate, and
// likewise with DirectCounts and DirectMap.
func offerDirect(c *connection, h *C.struct_gonbdkit_connection) {
	d, ok := c.ConnectionInterface.(DirectFDer)
	if !ok {
		return
	}
	fd := d.DirectFD()
	if g, ok := d.(DirectGater); ok {
		if word, read, write := g.DirectGate(); word != nil {
			c.pinner.Pin(word)
			h.gate = (*C.uint64_t)(unsafe.Pointer(word))
			h.gate_read, h.gate_write = C.uint64_t(read), C.uint64_t(write)
		}
	}
	if k, ok := d.(DirectCounter); ok {
		if counts := k.DirectCounts(); counts != nil {
			c.pinner.Pin(counts)
			h.counts = counts.inC()
		}
	}
	if m, ok := d.(DirectMapper); ok {
		if bits, block, base, baseSize := m.DirectMap(); bits != nil {
			c.pinner.Pin(unsafe.SliceData(bits))
			h._map = (*C.uint64_t)(unsafe.SliceData(bits))
			h.map_shift = C.uint(mathbits.TrailingZeros32(block))
			h.base_fd, h.base_size = C.int(base), C.uint64_t(baseSize)
		}
	}
	h.direct_fd = C.int(fd)
}

func goHandle(handle unsafe.Pointer) cgo.Handle {
	return cgo.Handle((*C.struct_gonbdkit_connection)(handle).go_handle)
}

// conn panics for a handle that is not open, which would be nbdkit's mistake.
func conn(handle unsafe.Pointer) *connection {
	return goHandle(handle).Value().(*connection)
}

func deleteHandle(handle unsafe.Pointer) {
	conn(handle).pinner.Unpin()
	goHandle(handle).Delete()
	C.free(handle)
}
