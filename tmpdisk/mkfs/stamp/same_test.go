// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package stamp_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	kit "nbdkit-tmpdisk-plugin/tmpdisk/internal/imagekit"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/ondisk"
)

// A span is bytes that may differ, and why.
type span struct {
	off, length int64
	why         string
}

// at moves spans to base.
func at(base int64, spans ...span) []span {
	for i := range spans {
		spans[i].off += base
	}
	return spans
}

// A cast is what mkfs makes when it is given the same identity.
func TestCastIsWhatMkfsMakes(t *testing.T) {
	id := kit.ID(1)
	uuid, serial := shown("ext4", id), fmt.Sprintf("%02x%02x%02x%02x", id[3], id[2], id[1], id[0])
	seed := fmt.Sprintf("%x", ondisk.SecondUUID(id))
	seed = strings.Join([]string{seed[:8], seed[8:12], seed[12:16], seed[16:20], seed[20:]}, "-")
	fat := strings.NewReplacer(` "$disk"`, " -i "+serial+` "$disk"`)
	linux := strings.NewReplacer("-E ", "-E hash_seed="+seed+",", ` "$disk"`, " -U "+uuid+` "$disk"`)
	cases := []struct {
		fsType string
		size   int64
		given  *strings.Replacer
		may    func(t *testing.T, f *os.File) []span
	}{
		{"swap", 64 * kit.MiB, linux, nil},
		{"vfat", kit.MiB, fat, nil},
		{"vfat", 64 * kit.MiB, fat, nil},
		{"vfat", kit.GiB, fat, nil},
		{"ext2", kit.GiB, linux, extSpans},
		{"ext3", kit.GiB, linux, extSpans},
		{"ext4", kit.GiB, linux, extSpans},
	}
	for _, c := range cases {
		t.Run(fmt.Sprint(c.fsType, " ", c.size), func(t *testing.T) {
			cast := kit.New(t, kit.Case{Type: c.fsType, Size: c.size})
			want := kit.New(t, kit.Case{Type: c.fsType, Size: c.size, Edit: c.given})
			var may []span
			if c.may != nil {
				may = c.may(t, want)
			}
			kit.Apply(t, cast, c.size, kit.Understood(t, c.fsType, c.size, cast).Patches(id))
			wantSame(t, cast, want, c.size, may)
		})
	}
}

// wantSame compares in pieces of 1 MiB, all that are not holes in both.
func wantSame(t *testing.T, got, want *os.File, size int64, may []span) {
	t.Helper()
	a, b := make([]byte, kit.MiB), make([]byte, kit.MiB)
	for off := int64(0); ; off += kit.MiB {
		off = max(off, min(nextData(t, got, off), nextData(t, want, off))/kit.MiB*kit.MiB)
		if off >= size {
			return
		}
		_, err := got.ReadAt(a, off)
		if _, err2 := want.ReadAt(b, off); err != nil || err2 != nil {
			t.Fatal(err, err2)
		}
		for _, s := range may {
			if s.off >= off && s.off < off+kit.MiB {
				clear(a[s.off-off:][:s.length])
				clear(b[s.off-off:][:s.length])
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

// extSpans is for the 8 groups of 1 GiB, with blocks of 4 KiB and inodes of 256
// bytes: the times, and, where there are checksums, all of those, because they
// begin with a seed that mke2fs makes of the first UUID and that stays when the
// UUID changes.
func extSpans(t *testing.T, f *os.File) []span {
	const block, group, groups = 4096, 128 << 20, 8
	little := binary.LittleEndian
	super := read(t, f, 1024, 1024)
	descriptor := int64(32)
	if little.Uint32(super[0x60:])&0x80 != 0 { // 64bit
		descriptor = 64
	}
	var all, sums []span
	for _, n := range []int64{0, 1, 3, 5, 7} { // those with a superblock
		off := n * group
		table := off + block
		if n == 0 {
			off = 1024
		}
		all = append(all, at(off, span{0x30, 4, "time of writing"}, span{0x40, 4, "time of the last check"},
			span{0x108, 4, "time of mkfs"})...)
		sums = append(sums, at(off, span{0x270, 4, "everything: its seed"}, span{0x3fc, 4, "the superblock"})...)
		for g := range int64(groups) {
			sums = append(sums, at(table+g*descriptor, span{0x18, 4, "bitmaps, low"},
				span{0x1e, 2, "the group descriptor"}, span{0x38, 4, "bitmaps, high"})...)
		}
	}
	inodes := int64(little.Uint32(read(t, f, block+8, 4))) * block // by the descriptor of group 0
	// With e2fsprogs 1.47 there may be a file for orphans, after lost+found.
	last := max(11, int64(little.Uint32(super[0x280:])))
	for number := int64(1); number <= last; number++ {
		inode := inodes + (number-1)*256
		all = append(all, at(inode, span{0x08, 12, "times of an inode"}, span{0x84, 20, "more of its times"})...)
		sums = append(sums, at(inode, span{0x7c, 2, "an inode, low"}, span{0x82, 2, "an inode, high"})...)
		if number == 2 || number >= 11 { // directories, and the file for orphans
			extent := read(t, f, inode+0x28+12, 12)
			first, n := int64(little.Uint32(extent[8:])), int64(little.Uint16(extent[4:]))
			for i := first; i < first+n; i++ {
				sums = append(sums, span{(i+1)*block - 4, 4, "a block of it"})
			}
		}
	}
	if little.Uint32(super[0x64:])&0x400 != 0 { // metadata_csum
		all = append(all, sums...)
	}
	return all
}

// The metadata of these are the mold's in all disks, but for the spans, each of
// which is changed.
func TestStampChangesNothingElse(t *testing.T) {
	cases := []struct {
		fsType string
		spans  func(t *testing.T, f *os.File) []span
	}{
		{"xfs", xfsSpans},
		{"btrfs", btrfsSpans},
		{"f2fs", f2fsSpans},
	}
	for _, c := range cases {
		t.Run(c.fsType, func(t *testing.T) {
			f := kit.New(t, kit.Case{Type: c.fsType, Size: kit.GiB})
			may := c.spans(t, f)
			changed := make([]bool, len(may))
			for _, p := range kit.Understood(t, c.fsType, kit.GiB, f).Patches(kit.ID(1)) {
				for i, b := range read(t, f, p.Off, len(p.Data)) {
					if b == p.Data[i] {
						continue
					}
					off := p.Off + int64(i)
					n := slices.IndexFunc(may, func(s span) bool { return off >= s.off && off < s.off+s.length })
					if n < 0 {
						t.Errorf("byte %d: changed from %#x to %#x", off, b, p.Data[i])
						continue
					}
					changed[n] = true
				}
			}
			for n, s := range may {
				if !changed[n] {
					t.Errorf("%s at %d: not changed", s.why, s.off)
				}
			}
		})
	}
}

// xfsSpans is for the four groups of 1 GiB.
func xfsSpans(t *testing.T, f *os.File) []span {
	const group = 1 << 28
	var all []span
	for i := range int64(4) {
		all = append(all, at(i*group, span{32, 16, "UUID"}, span{216, 4, "feature"},
			span{224, 4, "checksum"}, span{248, 16, "metadata UUID"})...)
	}
	log := int64(binary.BigEndian.Uint64(read(t, f, 48, 8)))
	inGroup := log & (group/4096 - 1)
	return append(all, span{log/(group/4096)*group + inGroup*4096 + 304, 16, "UUID in the log"})
}

func btrfsSpans(t *testing.T, f *os.File) []span {
	super := func(off int64) []span {
		return at(off, span{0, 4, "checksum"}, span{32, 16, "UUID"}, span{188, 8, "feature"},
			span{267, 16, "UUID of the device"}, span{571, 16, "metadata UUID"},
			span{892, 16, "UUID of the device, first stripe"}, span{924, 16, "UUID of the device, second stripe"})
	}
	all := append(super(64<<10), super(64<<20)...)
	device := read(t, f, 64<<10+267, 16)
	for _, off := range []int64{22036480, 30425088} { // both copies of the chunk tree
		all = append(all, span{off, 4, "checksum of the chunk tree"})
		// mkfs leaves stale bytes in the free space before the last item.
		const used = 101 + 15881
		items := read(t, f, off+used, 16<<10-used)
		for i := range len(items) - 15 {
			if bytes.HasPrefix(items[i:], device) {
				all = append(all, span{off + used + int64(i), 16, "UUID of the device in the chunk tree"})
			}
		}
	}
	if got, want := len(all), 2*7+2*(1+1+5); got != want {
		t.Errorf("got %d spans, want %d", got, want)
	}
	return all
}

func f2fsSpans(*testing.T, *os.File) []span {
	return []span{{1024 + 108, 16, "UUID"}, {4096 + 1024 + 108, 16, "UUID"}}
}
