// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package xfs_test

import (
	"encoding/binary"
	"hash/crc32"
	"testing"

	kit "nbdkit-tmpdisk-plugin/tmpdisk/internal/imagekit"
)

// 1 GiB has four groups of 256 MiB.
const group = 1 << 28

func TestGuard(t *testing.T) {
	cases := []struct {
		name, command string
		change        kit.Change
		want          string
	}{
		{"version 3", "mkfs.xfs -q -f -m crc=0", kit.Put(101, 0xb3), "version 0x3"},
		{"magic", "", kit.Put(0, 'Y'), "magic number 0x59465342"},
		{"checksum", "", kit.Put(150, 'x'), "wrong checksum at 0"},
		{"unknown feature", "", kit.Put(218, 1), "incompat 0x100"},
		{"second superblock", "", kit.Put(group+110, 'x'), "superblocks differ"},
		{"second superblock's version", "", kit.Put(group+101, 0xe5), "superblocks differ"},
		{"second superblock's checksum", "", kit.Put(group+150, 'x'), "wrong checksum at 268435456"},
		{"log on another device", "", kit.Put(48, 0, 0, 0, 0, 0, 0, 0, 0), "log at 0x0"},
		{"log has been used", "", kit.After("\xfe\xed\xba\xbe", 2048, 1), "log is not as mkfs leaves it"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			kit.WantRefused(t, kit.Case{Type: "xfs", Size: kit.GiB, Command: c.command}, c.change, c.want)
		})
	}
}

// mkfs.xfs -m autofsck=0 gives the root directory an attribute at its end, and only the
// first superblock says so.
func TestAttributesOfTheFirst(t *testing.T) {
	image := kit.New(t, kit.Case{Type: "xfs", Size: kit.GiB})
	kit.Copy(image, 0, 512, []int64{0}, func(p []byte, _ int64) {
		p[101] |= 0x10
		sum(p)
	})
	kit.Understood(t, "xfs", kit.GiB, image)
}

func sum(p []byte) {
	clear(p[224:228])
	binary.LittleEndian.PutUint32(p[224:], crc32.Checksum(p, crc32.MakeTable(crc32.Castagnoli)))
}

// What the superblocks have in common is made the same.
func FuzzXFS(f *testing.F) {
	others := []int64{group, 2 * group, 3 * group}
	const log = 2*group + 6*4096
	kit.FuzzStamp(f, kit.Case{Type: "xfs", Size: kit.GiB}, func(image kit.Image) {
		for _, part := range [][2]int64{{0, 56}, {80, 126}, {200, 224}, {248, 264}} {
			kit.Copy(image, part[0], int(part[1]-part[0]), offset(others, part[0]), nil)
		}
		for _, off := range append(others, 0) {
			kit.Copy(image, off, 512, []int64{off}, func(p []byte, _ int64) { sum(p) })
		}
	}, 48, 84, 88, 96, 102, 120, 124, 200, 216, log+12, log+304)
}

func offset(all []int64, by int64) []int64 {
	moved := make([]int64, len(all))
	for i, off := range all {
		moved[i] = off + by
	}
	return moved
}
