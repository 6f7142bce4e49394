// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package btrfs_test

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	kit "nbdkit-tmpdisk-plugin/tmpdisk/internal/imagekit"
)

// Where 1 GiB has its superblocks, and the copies of its chunk tree.
const (
	first  = 64 << 10
	second = 64 << 20
	leaf   = 22036480
	copied = 30425088
)

func TestGuard(t *testing.T) {
	cases := []struct {
		name, command string
		change        kit.Change
		want          string
	}{
		{"magic", "", kit.Put(first+64, 'X'), "magic number"},
		{"checksum", "", kit.Put(first, 'a', 'b', 'c', 'd'), "unexpected bytes at 65536"},
		{"xxhash", "mkfs.btrfs -q --csum xxhash", nil, "type of checksums 0x1"},
		{"unknown feature", "", kit.Put(first+190, 1), "incompat 0x10000"},
		{"second superblock", "", kit.Put(second+300, 'x'), "unexpected bytes at 67108864"},
		{"chunk tree", "", kit.Put(leaf+8000, 'x'), "wrong checksum at 22036480"},
		{"chunk tree's second copy", "", kit.Put(copied+8000, 'x'), "unexpected bytes at 30425088"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			kit.WantRefused(t, kit.Case{Type: "btrfs", Size: kit.GiB, Command: c.command}, c.change, c.want)
		})
	}
}

func FuzzBtrfs(f *testing.F) {
	kit.FuzzStamp(f, kit.Case{Type: "btrfs", Size: kit.GiB}, func(image kit.Image) {
		kit.Copy(image, first, 4096, []int64{first, second}, func(p []byte, off int64) {
			binary.LittleEndian.PutUint64(p[48:], uint64(off))
			sum(p)
		})
		kit.Copy(image, leaf, 16384, []int64{leaf, copied}, func(p []byte, _ int64) { sum(p) })
	}, first+88, first+112, first+148, first+160, first+811+17, first+811+17+44,
		leaf+96, leaf+101, leaf+101+17, leaf+101+21)
}

func sum(p []byte) {
	binary.LittleEndian.PutUint32(p, crc32.Checksum(p[32:], crc32.MakeTable(crc32.Castagnoli)))
}
