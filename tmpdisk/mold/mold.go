// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mold

import (
	"errors"
	"io"
	"sort"
)

// blockSize is the unit, in bytes, in which zeroes and repetitions are found.
const blockSize = 4096

// ErrTooLarge is wrapped by the error of Read when more must be kept than its
// limit allows. Nothing is wrong with the file then.
var ErrTooLarge = errors.New("too large to be kept in memory")

// A Mold is a disk's first content.
type Mold struct {
	size   int64
	kept   int64
	pieces []piece // in ascending order
}

// A piece is the bytes of the disk from off to end: data, repeated as often as it takes,
// and cut off at end. The last piece may end after the disk.
type piece struct {
	off, end int64
	data     []byte
}

// Size is the size of the disk in bytes.
func (m *Mold) Size() int64 { return m.size }

// Kept is how many bytes of memory the mold takes.
func (m *Mold) Kept() int64 { return m.kept }

// Written is how many bytes a cast writes. Where blocks repeat, that is more than Kept.
func (m *Mold) Written() int64 {
	n := int64(0)
	for _, p := range m.pieces {
		n += min(p.end, m.size) - p.off
	}
	return n
}

// ReadAt reads the disk, holes and all, as io.ReaderAt says.
func (m *Mold) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("mold: read: negative offset")
	}
	n := int(max(0, min(int64(len(p)), m.size-off)))
	clear(p[:n])
	m.each(off, off+int64(n), func(at int64, data []byte) error {
		copy(p[at-off:n], data)
		return nil
	})
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// each calls do with what the mold has between from and to, in ascending
// order, until do returns an error.
func (m *Mold) each(from, to int64, do func(at int64, data []byte) error) error {
	first := sort.Search(len(m.pieces), func(i int) bool { return m.pieces[i].end > from })
	for _, p := range m.pieces[first:] {
		if p.off >= to {
			return nil
		}
		at := max(p.off, from)
		for end := min(p.end, to); at < end; {
			data := p.data[(at-p.off)%int64(len(p.data)):]
			data = data[:min(int64(len(data)), end-at)]
			if err := do(at, data); err != nil {
				return err
			}
			at += int64(len(data))
		}
	}
	return nil
}
