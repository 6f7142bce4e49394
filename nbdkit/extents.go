// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"
)

// Extents collects what a connection's Extents method finds. It must not be
// used after that method has returned.
type Extents struct {
	add   addExtent // nil when the callback is over
	start uint64    // the request
	end   uint64
	next  uint64 // where the next extent must begin
}

// addExtent hands one extent to the server.
type addExtent func(offset, length uint64, extentType uint32) error

var errExtentsOver = errors.New("nbdkit_add_extent: the extents callback has returned already")

func newExtents(add addExtent, count uint32, offset uint64) *Extents {
	return &Extents{add: add, start: offset, end: offset + uint64(count), next: offset}
}

func addExtentTo(list *C.struct_nbdkit_extents) addExtent {
	return func(offset, length uint64, extentType uint32) error {
		r, err := C.nbdkit_add_extent(list, C.uint64_t(offset), C.uint64_t(length), C.uint32_t(extentType))
		if r == -1 {
			return fmt.Errorf("nbdkit_add_extent: %w", err)
		}
		return nil
	}
}

func (e *Extents) over() { e.add = nil }

func askExtents(handle unsafe.Pointer, add addExtent, count uint32, offset uint64, flags uint32) C.int {
	extents := newExtents(add, count, offset)
	defer extents.over()
	return request(handle, "extents", syscall.EINVAL, func(e Extenter) error {
		if err := e.Extents(count, offset, flags, extents); err != nil {
			return err
		}
		return extents.check()
	})
}

// Add (nbdkit_add_extent) adds length bytes at offset, in bytes, of the given
// type: 0 for data, or ExtentHole and ExtentZero. Extents must be added in
// ascending order and without gaps, from the offset of the request on. Add cuts
// off what is outside the request, because the server would abort at it.
func (e *Extents) Add(offset, length uint64, extentType uint32) error {
	if e.add == nil {
		return errExtentsOver
	}
	if extentType&^(ExtentHole|ExtentZero) != 0 {
		return fmt.Errorf("nbdkit_add_extent: type %#x: not a combination of ExtentHole and ExtentZero: %w",
			extentType, syscall.EINVAL)
	}
	if offset+length < offset {
		return fmt.Errorf("nbdkit_add_extent: offset %d, length %d: %w", offset, length, syscall.EOVERFLOW)
	}
	end := min(offset+length, e.end)
	offset = max(offset, e.start)
	if offset >= end {
		return nil
	}
	if offset != e.next {
		return fmt.Errorf("nbdkit_add_extent: offset %d: the extent must begin at %d, where the one before it ends",
			offset, e.next)
	}
	if err := e.add(offset, end-offset, extentType); err != nil {
		return err
	}
	e.next = end
	return nil
}

// check is called when the plugin is done. The server asserts that there is at
// least one extent.
func (e *Extents) check() error {
	if e.next == e.start {
		return fmt.Errorf("extents: offset %d: no extent was added: %w", e.start, syscall.EINVAL)
	}
	return nil
}
