// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"fmt"
	"io"
)

// unsure is an error that wraps ErrNotUnderstood.
func unsure(format string, args ...any) error {
	return fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), ErrNotUnderstood)
}

// readWithin reads n bytes at off. An image that ends there is not understood.
func readWithin(image io.ReaderAt, size, off int64, n int) ([]byte, error) {
	if off < 0 || off > size-int64(n) {
		return nil, unsure("%d bytes at %d: past the end of the disk", n, off)
	}
	p := make([]byte, n)
	if _, err := io.ReadFull(io.NewSectionReader(image, off, int64(n)), p); err != nil {
		return nil, fmt.Errorf("read %d bytes at %d: %w", n, off, err)
	}
	return p, nil
}
