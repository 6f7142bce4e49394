// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mold

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Cast gives the file that fd is open on, which must be empty, the size and
// the content of the mold, with the patches, which must be in ascending order
// and not overlap, in place of its bytes. After an error the file is of no use.
func (m *Mold) Cast(fd int, patches []stamp.Patch) error {
	if err := sys.Truncate(fd, m.size); err != nil {
		return fmt.Errorf("cast: truncate: %d bytes: %w", m.size, err)
	}
	if err := m.write(fd, patches); err != nil {
		return fmt.Errorf("cast: %w", err)
	}
	return nil
}

func (m *Mold) write(fd int, patches []stamp.Patch) error {
	w := writer{fd: fd}
	done := int64(0)
	for _, p := range patches {
		if p.Off < done || p.Off > m.size-int64(len(p.Data)) {
			return fmt.Errorf("patch of %d bytes at %d: out of order or past the end", len(p.Data), p.Off)
		}
		if err := m.each(done, p.Off, w.add); err != nil {
			return err
		}
		if err := w.add(p.Off, p.Data); err != nil {
			return err
		}
		done = p.Off + int64(len(p.Data))
	}
	if err := m.each(done, m.size, w.add); err != nil {
		return err
	}
	return w.flush()
}

// maxSegments is IOV_MAX, the most that one pwritev takes.
const maxSegments = 1024

// A writer collects what is adjacent in the file, to write it at once and
// without copying it together.
type writer struct {
	fd       int
	off, end int64 // of what is collected
	segments [][]byte
}

func (w *writer) add(off int64, data []byte) error {
	if off != w.end || len(w.segments) == maxSegments {
		if err := w.flush(); err != nil {
			return err
		}
		w.off = off
	}
	w.segments = append(w.segments, data)
	w.end = off + int64(len(data))
	return nil
}

func (w *writer) flush() error {
	for rest := w.segments; w.off < w.end; {
		n, err := sys.Retry2(func() (int, error) { return unix.Pwritev(w.fd, rest, w.off) })
		if err == nil && n == 0 {
			err = io.ErrShortWrite
		}
		if err != nil {
			return fmt.Errorf("write: offset %d: %w", w.off, err)
		}
		w.off += int64(n)
		rest = after(rest, n)
	}
	w.segments = w.segments[:0]
	return nil
}

// after is what follows the first n bytes of segments, some of which it changes.
func after(segments [][]byte, n int) [][]byte {
	for len(segments) > 0 && n >= len(segments[0]) {
		n -= len(segments[0])
		segments = segments[1:]
	}
	if n > 0 {
		segments[0] = segments[0][n:]
	}
	return segments
}
