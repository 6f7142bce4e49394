// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"testing"
)

// A span is bytes that may differ from what mkfs writes, and why.
type span struct {
	off int64
	n   int
	why string
}

// A cast is what mkfs makes when it is given the same identity.
func TestCastIsWhatMkfsMakes(t *testing.T) {
	id := idOf(1)
	uuid, seed := dashed(uuidOf(id)), dashed(extSeedOf(id))
	serial := fmt.Sprintf("%02x%02x%02x%02x", id[3], id[2], id[1], id[0])
	ext := []string{"-U", uuid, "-E", "nodiscard,hash_seed=" + seed}
	cases := []struct {
		fsType string
		size   int64
		given  []string
	}{
		{"swap", 64 * mib, []string{"-U", uuid}},
		{"vfat", mib, []string{"-i", serial}},
		{"vfat", 64 * mib, []string{"-i", serial}},
		{"vfat", gib, []string{"-i", serial}},
		{"ext2", 512 * mib, ext},
		{"ext3", 512 * mib, ext},
		{"ext4", 512 * mib, ext},
	}
	for _, c := range cases {
		t.Run(fmt.Sprint(c.fsType, " ", c.size), func(t *testing.T) {
			mold := moldCase{fsType: c.fsType, size: c.size}
			cast, want := newMold(t, mold), newMold(t, mold, c.given...)
			var may []span
			if c.fsType == "ext2" || c.fsType == "ext3" || c.fsType == "ext4" {
				may = extMayDiffer(t, want, c.size)
			}
			mustApply(t, cast, c.size, mustStamp(t, c.fsType, c.size, cast).Patches(id))
			wantSame(t, cast, want, may)
		})
	}
}

// wantSame compares in pieces of 1 MiB, all of them.
func wantSame(t *testing.T, got, want *os.File, may []span) {
	t.Helper()
	info, err := want.Stat()
	if err != nil {
		t.Fatal(err)
	}
	a, b := make([]byte, mib), make([]byte, mib)
	for off := int64(0); off < info.Size(); off += mib {
		for _, read := range []struct {
			f *os.File
			p []byte
		}{{got, a}, {want, b}} {
			if _, err := read.f.ReadAt(read.p, off); err != nil {
				t.Fatal(err)
			}
		}
		for _, s := range may {
			if s.off >= off && s.off < off+mib {
				clear(a[s.off-off:][:s.n])
				clear(b[s.off-off:][:s.n])
			}
		}
		if bytes.Equal(a, b) {
			continue
		}
		for i := range a {
			if a[i] != b[i] {
				t.Fatalf("byte %#x: got %#x, mkfs makes %#x", off+int64(i), a[i], b[i])
			}
		}
	}
}

// extMayDiffer is for blocks of 4 KiB and inodes of 256 bytes: the times, and,
// where there are checksums, all of those, because they begin with a seed that
// mke2fs makes of the first UUID and that stays when the UUID changes.
func extMayDiffer(t *testing.T, f *os.File, size int64) []span {
	t.Helper()
	read := func(off int64, n int) []byte {
		p, err := readWithin(f, size, off, n)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	super := read(extSuperLength, extSuperLength)
	layout, err := newExtLayout(super, size)
	if err != nil {
		t.Fatal(err)
	}
	sums := extHas(super, extROCompat, extMetadataCsum)
	descriptor := int64(32)
	if extHas(super, extIncompat, ext64Bit) {
		descriptor = 64
	}
	var spans []span
	add := func(off int64, n int, why string) { spans = append(spans, span{off, n, why}) }
	addSum := func(off int64, n int, why string) {
		if sums {
			add(off, n, "checksum of "+why)
		}
	}
	for _, group := range append([]uint64{0}, layout.backups()...) {
		at := layout.groupOffset(group)
		table := at + layout.blockSize
		if group == 0 {
			at = extSuperLength
		}
		add(at+0x30, 4, "time of writing")
		add(at+0x40, 4, "time of the last check")
		add(at+0x108, 4, "time of mkfs")
		addSum(at+0x270, 4, "everything: its seed")
		addSum(at+extChecksum, 4, "the superblock")
		for g := range int64(layout.groups()) {
			addSum(table+g*descriptor+0x18, 4, "bitmaps, low")
			addSum(table+g*descriptor+0x1e, 2, "the group descriptor")
			addSum(table+g*descriptor+0x38, 4, "bitmaps, high")
		}
	}
	first := read(layout.blockSize, 32) // the descriptor of group 0
	inodes := int64(binary.LittleEndian.Uint32(first[8:])) * layout.blockSize
	for n := range int64(11) {
		at := inodes + n*256
		add(at+0x08, 12, "times of an inode")
		addSum(at+0x7c, 2, "an inode, low")
		addSum(at+0x82, 2, "an inode, high")
		add(at+0x84, 20, "more of its times")
		if number := n + 1; sums && (number == 2 || number == 11) {
			extent := read(at+0x28+12, 12)
			block := int64(binary.LittleEndian.Uint32(extent[8:]))
			for i := range int64(binary.LittleEndian.Uint16(extent[4:])) {
				addSum((block+i+1)*layout.blockSize-4, 4, "a directory's block")
			}
		}
	}
	slices.SortFunc(spans, func(a, b span) int { return int(a.off - b.off) })
	return spans
}
