// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package ext_test

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"testing"

	kit "nbdkit-tmpdisk-plugin/tmpdisk/internal/imagekit"
)

// features are those that the plugin asks for.
const features = "metadata_csum,metadata_csum_seed"

// What mke2fs can make, but stamping does not understand.
func TestNotUnderstoodFormats(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const ext4 = "mkfs.ext4 -q -F -O " + features
	cases := []struct {
		name          string
		size          int64
		command, want string
	}{
		{"checksums from the UUID", kit.GiB, "mkfs.ext4 -q -F -O metadata_csum,^metadata_csum_seed", "metadata_csum_seed"},
		{"group checksums", kit.GiB, "mkfs.ext4 -q -F -O ^metadata_csum,uninit_bg", "features 0x10:"},
		{"a journal", kit.GiB, "mke2fs -q -F -O journal_dev", "features 0x8:"},
		{"many backups", 4 * kit.GiB, "mkfs.ext2 -q -F -b 1024 -g 1024 -O ^sparse_super,^resize_inode", "4096 superblocks"},
		// The option is another one from e2fsprogs 1.47.1 on.
		{"revision 0", kit.GiB, `f() { mkfs.ext2 -q -F -E revision=0 "$1" || mkfs.ext2 -q -F -r 0 "$1"; }; f`, "revision 0x0"},
		// A directory with files may be hashed, with the seed that would be replaced.
		{"a file", 64 * kit.MiB, ext4 + " -d " + dir, " inodes in use, "},
		{"another type", 64 * kit.MiB, "mkswap", "magic number 0x0"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			kit.WantRefused(t, kit.Case{Type: "ext4", Size: c.size, Command: c.command}, nil, c.want)
		})
	}
}

// One thing is changed in a good mold.
func TestGuard(t *testing.T) {
	const (
		super   = 1024
		backup  = 8193 * 1024 // 32 MiB have blocks of 1 kit.KiB
		journal = "\xc0\x3b\x39\x98\x00\x00\x00\x04"
	)
	cases := []struct {
		name, fsType string
		change       kit.Change
		want         string
	}{
		{"magic", "ext4", kit.Put(super+0x38, 0), "magic number 0xef00"},
		{"checksum", "ext4", kit.Put(super+0x3fc, 0, 0, 0, 0), "wrong checksum at 1024"},
		{"something under the checksum", "ext4", kit.Put(super+0x30, 0, 0, 0, 0), "wrong checksum at 1024"},
		{"not clean", "ext4", kit.Put(super+0x3a, 2), "state 0x2"},
		{"checksum type", "ext4", kit.Put(super+0x175, 2), "type of checksums 0x2"},
		{"in use", "ext4", signed(0xe8, 12), "first orphan 0xc"},
		{"block size", "ext4", signed(0x18, 7), "1 KiB << 7"},
		{"salt for passwords", "ext4", signed(0x258, 1), "a salt"},
		{"unknown feature", "ext4", signed(0x60+2, 4), "features 0x40000"},
		{"copy out of bounds", "ext4", kit.Both(signedWith(0x5c+1, 2), signed(0x24c, 4)), "a copy in group 4"},
		{"blocks", "ext4", signed(0x04, 0, 0, 1), "65536 blocks"},
		{"no blocks", "ext4", signed(0x04, 0, 0), "0 blocks"},
		{"group size", "ext4", signed(0x20, 0, 0), "groups of 0 blocks"},
		{"first block", "ext4", signed(0x14, 0), "from block 0 on"},
		{"journal elsewhere", "ext4", signed(0xe0, 9), "journal in inode 0x9"},
		{"journal's extents", "ext4", signed(0x10c, 0), "not a tree of extents"},
		{"journal's extents elsewhere", "ext4", signed(0x10c+6, 1), "block 70"},
		{"journal out of bounds", "ext4", signed(0x10c+18, 1), "block 4294"},
		{"journal is none", "ext4", signed(0x10c+20, 30), "journal's magic number"},
		{"journal in use", "ext4", kit.After(journal, 28, 1), "journal's first transaction"},
		{"journal has features", "ext4", kit.After(journal, 36+7, 0x10), "journal's features 0x10"},
		{"journal's UUID", "ext4", kit.After(journal, 48, 0, 0, 0, 0), "journal of another"},
		{"no backup", "ext4", kit.Put(backup+0x38, 0), "unexpected bytes at 8389632"},
		{"backup's checksum", "ext4", kit.Put(backup+0x3fc, 0, 0, 0, 0), "unexpected bytes at 8389632"},
		{"backup elsewhere", "ext3", kit.Put(backup+0x5a, 3), "unexpected bytes at 8389632"},
		{"backup's UUID", "ext3", kit.Put(backup+0x68, 0, 0, 0, 0), "unexpected bytes at 8389632"},
		{"backup's features", "ext3", kit.Put(backup+0x5c+1, 1), "unexpected bytes at 8389632"},
	}
	for _, c := range cases {
		t.Run(c.fsType+" "+c.name, func(t *testing.T) {
			kit.WantRefused(t, kit.Case{Type: c.fsType, Size: 32 * kit.MiB}, c.change, c.want)
		})
	}
}

// signed changes all superblocks, with right checksums.
func signed(off int, bytes ...byte) kit.Change {
	return resigned(func(super []byte) { copy(super[off:], bytes) })
}

// signedWith sets bits, beside those that the version of mke2fs has set.
func signedWith(off int, bits byte) kit.Change {
	return resigned(func(super []byte) { super[off] |= bits })
}

func resigned(change func(super []byte)) kit.Change {
	return func(t testing.TB, image kit.Image) {
		for _, block := range []int64{1, 8193, 24577} {
			kit.Copy(image, block*1024, 1024, []int64{block * 1024}, func(super []byte, _ int64) {
				change(super)
				sum(super)
			})
		}
	}
}

func sum(super []byte) {
	binary.LittleEndian.PutUint32(super[0x3fc:], ^crc32.Checksum(super[:0x3fc], crc32.MakeTable(crc32.Castagnoli)))
}

func FuzzExt(f *testing.F) {
	kit.FuzzStamp(f, kit.Case{Type: "ext4", Size: 4 * kit.MiB}, func(image kit.Image) {
		kit.Copy(image, 1024, 1024, []int64{1024}, func(super []byte, _ int64) { sum(super) })
	}, 1024, 1024+0x04, 1024+0x14, 1024+0x18, 1024+0x20, 1024+0x5c, 1024+0x60, 1024+0x64,
		1024+0xe0, 1024+0x10c, 1024+0x10c+12)
}
