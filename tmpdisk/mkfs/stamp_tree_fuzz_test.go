// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs_test

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs"
)

// fuzzSpot is what stands in the same way in one or more places, and how its
// checksum is made right again.
type fuzzSpot struct {
	fsType string
	copies []int64
	length int
	fix    func(p []byte)
}

func fixXFS(p []byte) {
	clear(p[224:228])
	binary.LittleEndian.PutUint32(p[224:], crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)))
}

func fixBtrfs(p []byte) {
	binary.LittleEndian.PutUint32(p, crc32.Checksum(p[32:], crc32.MakeTable(crc32.Castagnoli)))
}

// overlay is an image with something written over it.
type overlay struct {
	io.ReaderAt
	patches []mkfs.Patch
}

func (o overlay) ReadAt(p []byte, off int64) (int, error) {
	n, err := o.ReaderAt.ReadAt(p, off)
	for _, w := range o.patches {
		if from := w.Off - off; from < 0 && -from < int64(len(w.Data)) {
			copy(p, w.Data[-from:])
		} else if from >= 0 && from < int64(len(p)) {
			copy(p[from:], w.Data)
		}
	}
	return n, err
}

const fuzzSize = 1 << 30

var fuzzSpots = []fuzzSpot{
	{"xfs", []int64{0, 1 << 28, 2 << 28, 3 << 28}, 512, fixXFS},
	{"xfs", []int64{1<<29 + 6*4096}, 1024, func([]byte) {}}, // the log
	{"btrfs", []int64{64 << 10, 64 << 20}, 4096, fixBtrfs},
	{"btrfs", []int64{22036480, 30425088}, 16384, fixBtrfs},
	{"f2fs", []int64{1024, 4096 + 1024}, 3072, func([]byte) {}},
}

// Whatever is wrong with an image, it is either not understood, or its stamped
// copy is understood as well.
func FuzzTreeStamp(f *testing.F) {
	images := map[string]io.ReaderAt{}
	for _, tt := range treeTypes {
		images[tt.fsType] = makeTree(f, tt, fuzzSize)
	}
	f.Add(uint8(0), uint16(88), []byte("\xff\xff\xff\xff")) // groups
	f.Add(uint8(0), uint16(84), []byte("\xff\xff\xff\xff")) // their size
	f.Add(uint8(0), uint16(48), []byte("\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add(uint8(0), uint16(102), []byte("\x80\x00"))
	f.Add(uint8(0), uint16(124), []byte("\xff"))
	f.Add(uint8(1), uint16(12), []byte("\xff\xff\xfe\x00"))
	f.Add(uint8(2), uint16(160), []byte("\xff\xff\xff\xff")) // chunks
	f.Add(uint8(2), uint16(88), []byte("\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add(uint8(2), uint16(811+17+44), []byte("\xff\xff"))
	f.Add(uint8(2), uint16(148), []byte("\x00\x00\x01\x00"))
	f.Add(uint8(3), uint16(96), []byte("\xff\xff\xff\xff")) // items
	f.Add(uint8(3), uint16(101+17), []byte("\xff\xff\xff\xff"))
	f.Add(uint8(3), uint16(101+21), []byte("\x62\x00\x00\x00"))
	f.Add(uint8(4), uint16(16), []byte("\xff\xff\xff\xff"))
	f.Add(uint8(4), uint16(108), []byte("another UUID"))
	f.Fuzz(func(t *testing.T, which uint8, where uint16, data []byte) {
		spot := fuzzSpots[int(which)%len(fuzzSpots)]
		image := overlay{images[spot.fsType], nil}
		var edits []mkfs.Patch
		for _, off := range spot.copies {
			p := make([]byte, spot.length)
			if _, err := image.ReadAt(p, off); err != nil {
				t.Fatal(err)
			}
			copy(p[int(where)%spot.length:], data)
			spot.fix(p)
			edits = append(edits, mkfs.Patch{Off: off, Data: p})
		}
		image.patches = edits
		s, err := mkfs.NewStamp(spot.fsType, fuzzSize, image)
		if err != nil {
			if !errors.Is(err, mkfs.ErrNotUnderstood) {
				t.Fatalf("got %v, want ErrNotUnderstood", err)
			}
			return
		}
		patches := s.Patches(mkfs.ID{1})
		checkPatches(t, patches)
		image.patches = append(edits, patches...)
		if _, err := mkfs.NewStamp(spot.fsType, fuzzSize, image); err != nil {
			t.Fatalf("stamped: %v", err)
		}
	})
}

func checkPatches(t *testing.T, patches []mkfs.Patch) {
	t.Helper()
	end := int64(0)
	for _, p := range patches {
		if p.Off < end || p.Off+int64(len(p.Data)) > fuzzSize {
			t.Fatalf("patch at %d: ends at %d, comes after %d", p.Off, p.Off+int64(len(p.Data)), end)
		}
		end = p.Off + int64(len(p.Data))
	}
}
