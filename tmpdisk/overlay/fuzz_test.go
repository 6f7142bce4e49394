// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package overlay

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
)

// FuzzRequests takes three bytes for a request: what, where and how much.
func FuzzRequests(f *testing.F) {
	f.Add([]byte{0, 0, 1, 1, 7, 200, 2, 8, 255, 3, 3, 3, 0, 9, 9})
	f.Add([]byte{130, 255, 255, 1, 0, 255, 4, 16, 16, 5, 1, 0})
	path, content := image(f, rand.New(rand.NewPCG(1, 2)), 5*Block+700)
	base := openBase(f, path)
	const size = 8*Block + 33
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := New(emptyFile(t, dir, size), base)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Keep(true); err != nil {
			t.Fatal(err)
		}
		model := padded(content, size)
		for ; len(text) >= 3; text = text[3:] {
			// Near the borders of blocks, where anything can go wrong.
			off := uint64(text[1]/16)*Block/2 + uint64(text[1]%16)*3
			s := step{r: disk.Request{Offset: off, Count: uint32(min(uint64(text[2])*uint64(text[2])/2, size-off))}}
			switch text[0] % 6 {
			case 0, 1:
				s.r.Op, s.r.Buf, s.r.Count = disk.Write, bytes.Repeat(text[:1], int(s.r.Count)), 0
			case 2:
				s.r.Op = disk.Trim
			case 3:
				s.r.Op, s.r.Flags = disk.Zero, disk.Flags(text[0]/64)
			case 4:
				if err := d.Sync(); err != nil {
					t.Fatal(err)
				}
				continue
			case 5:
				d = resumed(t, d, base, false)
				continue
			}
			if err := s.apply(d, model); err != nil {
				t.Fatal(err)
			}
		}
		wantContent(t, d, model, "at the end")
		d.Close()
	})
}
