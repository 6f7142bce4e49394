// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package ondisk

import (
	"bytes"
	"fmt"
	"io"
)

// An Image is a disk with a fresh filesystem.
type Image struct {
	io.ReaderAt
	Size int64 // in bytes
}

// Bytes reads n bytes at off. An image that ends before is not understood. It
// ends what [Try] runs if it cannot read them.
func (i Image) Bytes(off int64, n int) []byte {
	Want(off >= 0 && off <= i.Size-int64(n), "%d bytes at %d: past the end of the disk", n, off)
	p := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(i, off, int64(n)), p); err != nil {
		panic(stop{fmt.Errorf("read %d bytes at %d: %w", n, off, err)})
	}
	return p
}

// IsZero reports whether all bytes of p are zero.
func IsZero(p []byte) bool { return len(bytes.TrimLeft(p, "\x00")) == 0 }
