// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package ondisk

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrNotUnderstood is wrapped by the error when a filesystem has something that
// stamping does not know. Nothing is wrong with the disk then.
var ErrNotUnderstood = errors.New("not understood")

// stop is what a panic of this package carries.
type stop struct{ err error }

// Try runs f. It returns the error that [Want], or another function of this
// package, has ended f with.
func Try(f func()) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case stop:
			err = p.err
		default:
			panic(p)
		}
	}()
	f()
	return nil
}

// Want ends what [Try] runs unless ok. The error wraps ErrNotUnderstood.
func Want(ok bool, format string, args ...any) {
	if !ok {
		panic(stop{fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrNotUnderstood)})
	}
}

// A Check looks at numbers in a piece of the disk.
type Check struct {
	Data  []byte
	Order binary.ByteOrder
}

// Is wants the number of size bytes at off to be want. The bits of also may be
// set besides.
func (c Check) Is(name string, off, size int, want, also uint64) {
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
	got &^= also
	Want(got == want, "%s %#x", name, got)
}
