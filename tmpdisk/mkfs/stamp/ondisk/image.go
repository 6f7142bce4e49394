// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package ondisk

import (
	"errors"
	"fmt"
	"io"
)

// ErrNotUnderstood is wrapped by the error when a filesystem has something that
// stamping does not know. Nothing is wrong with the disk then.
var ErrNotUnderstood = errors.New("not understood")

// NotUnderstood is an error that wraps ErrNotUnderstood.
func NotUnderstood(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrNotUnderstood)
}

// An Image is a disk with a fresh filesystem.
type Image struct {
	io.ReaderAt
	Size int64 // in bytes
}

// Bytes reads n bytes at off. An image that ends there is not understood.
func (i Image) Bytes(off int64, n int) ([]byte, error) {
	if off < 0 || off > i.Size-int64(n) {
		return nil, NotUnderstood("%d bytes at %d: past the end of the disk", n, off)
	}
	p := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(i, off, int64(n)), p); err != nil {
		return nil, fmt.Errorf("read %d bytes at %d: %w", n, off, err)
	}
	return p, nil
}

// IsZero reports whether all bytes of p are zero.
func IsZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
