// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"encoding/binary"
	"fmt"
	"io"
)

// places is the Stamp of a type whose identity is the same bytes in one or
// more places, and nothing else on the disk depends on them: no checksum is to
// be kept, and copies that were equal stay equal.
type places struct {
	offsets  []int64 // ascending
	identity func(id ID) []byte
}

func (s places) Patches(id ID) []Patch {
	patches := make([]Patch, len(s.offsets))
	for i, off := range s.offsets {
		patches[i] = Patch{off, s.identity(id)}
	}
	return patches
}

func uuidBytes(id ID) []byte {
	u := uuidOf(id)
	return u[:]
}

// serial32 is never zero, which some programs take for no serial at all.
func serial32(id ID) []byte {
	for i := 0; i < len(id); i += 4 {
		if s := id[i : i+4]; binary.LittleEndian.Uint32(s) != 0 {
			return s
		}
	}
	return []byte{1, 0, 0, 0}
}

func serial64(id ID) []byte { return id[:8] }

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
