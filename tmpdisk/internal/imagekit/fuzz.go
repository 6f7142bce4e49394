// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package imagekit

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp"
)

// FuzzStamp fuzzes two places of c, beginning with the fields given, and the
// disk's size. mend makes checksums and copies right, without which only they
// would be tried. What is understood must be so with another identity too, and
// no trace of the first be left.
func FuzzStamp(f *testing.F, c Case, mend func(image Image), fields ...int64) {
	mold := New(f, c)
	for i, field := range fields {
		next := fields[(i+1)%len(fields)]
		now := make([]byte, 8)
		_, err := mold.ReadAt(now, next)
		testkit.Must(f, err)
		f.Add(field, bytes.Repeat([]byte{0xff}, 8), next, now, c.Size)
		f.Add(field, []byte{0xff, 0, 0, 0}, field, []byte{}, c.Size)
	}
	f.Fuzz(func(t *testing.T, off1 int64, edit1 []byte, off2 int64, edit2 []byte, size int64) {
		image := &overlay{ReaderAt: mold}
		for off, edit := range map[int64][]byte{off1: edit1, off2: edit2} {
			if off >= 0 && off <= c.Size-int64(len(edit)) {
				image.WriteAt(edit, off)
			}
		}
		if mend != nil {
			mend(image)
		}
		size = min(size, c.Size)
		s, err := stamp.New(c.Type, size, image)
		if err != nil {
			if !errors.Is(err, stamp.ErrNotUnderstood) {
				t.Fatalf("got %v, want ErrNotUnderstood", err)
			}
			return
		}
		Apply(t, image, size, s.Patches(ID(1)))
		again := Understood(t, c.Type, size, image)
		got, want := fmt.Sprint(again.Patches(ID(2))), fmt.Sprint(s.Patches(ID(2)))
		if got != want {
			t.Errorf("a second identity is written otherwise than over the mold")
		}
	})
}

// Copy writes what stands at from, n bytes, to the other places, each changed by
// fix, which may be nil.
func Copy(image Image, from int64, n int, to []int64, fix func(p []byte, off int64)) {
	for _, off := range to {
		p := make([]byte, n)
		image.ReadAt(p, from)
		if fix != nil {
			fix(p, off)
		}
		image.WriteAt(p, off)
	}
}

// An overlay is an image with something written over it.
type overlay struct {
	io.ReaderAt
	edits []stamp.Patch
}

func (o *overlay) WriteAt(p []byte, off int64) (int, error) {
	o.edits = append(o.edits, stamp.Patch{Off: off, Data: bytes.Clone(p)})
	return len(p), nil
}

func (o *overlay) ReadAt(p []byte, off int64) (int, error) {
	n, err := o.ReaderAt.ReadAt(p, off)
	for _, w := range o.edits {
		if from := w.Off - off; from < 0 && -from < int64(len(w.Data)) {
			copy(p, w.Data[-from:])
		} else if from >= 0 && from < int64(len(p)) {
			copy(p[from:], w.Data)
		}
	}
	return n, err
}
