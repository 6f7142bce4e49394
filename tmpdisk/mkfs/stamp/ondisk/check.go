// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package ondisk

import "encoding/binary"

// A Check looks at numbers in a piece of the disk.
type Check struct {
	Data  []byte
	Order binary.ByteOrder
	Err   error // about the first number that is not understood
}

// Is wants the number of size bytes at off to be want. The bits of also may be
// set besides.
func (c *Check) Is(name string, off, size int, want, also uint64) {
	var got uint64
	switch p := c.Data[off:]; size {
	case 1:
		got = uint64(p[0])
	case 2:
		got = uint64(c.Order.Uint16(p))
	case 4:
		got = uint64(c.Order.Uint32(p))
	case 8:
		got = c.Order.Uint64(p)
	}
	if got &^= also; got != want && c.Err == nil {
		c.Err = NotUnderstood("%s %#x", name, got)
	}
}
