// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package dos_test

import (
	"encoding/binary"
	"testing"

	kit "nbdkit-tmpdisk-plugin/tmpdisk/internal/imagekit"
)

// What mkfs can make, but stamping does not understand.
func TestNotUnderstoodFormats(t *testing.T) {
	cases := []struct{ fsType, command, want string }{
		{"ntfs", "mkfs.ntfs -q -F -Q -U", "attribute 0x40"}, // an object ID
		{"vfat", "mkfs.exfat", "sectors of 0 bytes"},
		{"exfat", "mkfs.fat", `boot sector of "mkfs.fat"`},
		{"ntfs", "mkfs.fat", `boot sector of "mkfs.fat"`},
		{"ntfs", "mkswap", "boot sector that ends in 0x0"},
	}
	for _, c := range cases {
		t.Run(c.fsType+" by "+c.command, func(t *testing.T) {
			kit.WantRefused(t, kit.Case{Type: c.fsType, Size: 64 * kit.MiB, Command: c.command}, nil, c.want)
		})
	}
}

// volume is the first record of the MFT, which is equal to the fourth, $Volume,
// as far as this.
const volume = "FILE0\x00\x03\x00"

// One thing is changed in a good mold.
func TestGuard(t *testing.T) {
	const fourth = 3 * 1024
	cases := []struct {
		name, fsType string
		change       kit.Change
		want         string
	}{
		{"end of sector", "vfat", kit.Put(510, 0), "boot sector that ends in 0xaa00"},
		{"jump", "vfat", kit.Put(0, 0), "boot sector that begins with 0x0"},
		{"sector size", "vfat", kit.Put(11, 1), "sectors of"},
		{"cluster size", "vfat", kit.Put(13, 3), "clusters of 3"},
		{"number of FATs", "vfat", kit.Put(16, 3), "3 FATs"},
		{"no root directory", "vfat", kit.Put(17, 0, 0), "neither FAT16 nor FAT32"},
		{"more than the disk", "vfat", kit.Both(kit.Put(19, 0, 0), kit.Put(32+2, 2)), "131072 sectors"},
		{"type", "vfat", kit.Put(36+18, 'X'), "XAT16"},
		{"extended part", "vfat", kit.Put(36+2, 0x28), "FAT16"},
		{"FAT32 type", "fat32", kit.Put(64+18, 'X'), "XAT32"},
		{"FAT32 version", "fat32", kit.Put(42, 1), "version 1"},
		{"no backup", "fat32", kit.Put(50, 0), "backup boot sector 0"},
		{"backup", "fat32", kit.Put(6*512+64+3, 0, 0, 0, 0), "unexpected bytes at 3072"},
		{"name", "exfat", kit.Put(3, 'X'), `boot sector of "XXFAT`},
		{"part of FAT", "exfat", kit.Put(11, 1), "something of FAT"},
		{"revision", "exfat", kit.Put(104, 1), "revision 0x101"},
		{"flags", "exfat", kit.Put(106, 2), "flags 0x2"},
		{"sector size", "exfat", kit.Put(108, 13), "2^13 bytes"},
		{"cluster size", "exfat", kit.Put(109, 17), "2^17 sectors"},
		{"length", "exfat", kit.Put(72+4, 1), "sectors"},
		{"serial", "exfat", kit.Put(100, 0, 0, 0, 0), "wrong checksum at 0"},
		{"second serial", "exfat", kit.Put(12*512+100, 0, 0, 0, 0), "unexpected bytes at 6144"},
		{"both serials", "exfat", kit.Both(kit.Put(100, 0, 0, 0, 0), kit.Put(12*512+100, 0, 0, 0, 0)), "wrong checksum at 0"},
		{"boot code", "exfat", kit.Both(kit.Put(1000, 1), kit.Put(12*512+1000, 1)), "wrong checksum at 0"},
		{"checksum", "exfat", kit.Both(kit.Put(12*512-4, 1, 1, 1, 1), kit.Put(24*512-4, 1, 1, 1, 1)), "wrong checksum at 0"},
		{"GUID", "exfat", kit.After("\x82\x00\x00\x00", 32, 0xa0), "directory entry of type 0xa0"},
		{"name", "ntfs", kit.Put(3, 'X'), `boot sector of "XTFS`},
		{"checksum", "ntfs", kit.Put(80, 1), "checksum 0x1"},
		{"sector size", "ntfs", kit.Put(11, 1), "sectors of 513"},
		{"length", "ntfs", kit.Put(40+4, 1), "sectors"},
		{"serial", "ntfs", kit.Put(72, 0, 0, 0, 0), "unexpected bytes at 33553920"},
		{"not written as a whole", "ntfs", kit.After(volume, fourth+510, 0xff, 0xff), "not written as a whole"},
		{"not a record", "ntfs", kit.After(volume, fourth, 'X'), "not a record"},
		{"attribute's length", "ntfs", kit.After(volume, fourth+56+4, 0), "attribute 0x10 of 0 bytes"},
		{"another version", "ntfs", kit.After("\x03\x01\x00\x00\x00\x00\x00\x00\x80\x00\x00\x00", 1, 2), "version or flags"},
	}
	for _, c := range cases {
		t.Run(c.fsType+" "+c.name, func(t *testing.T) {
			made := kit.Case{Type: c.fsType, Size: 32 * kit.MiB}
			if c.fsType == "fat32" {
				made.Type, made.Command = "vfat", "mkfs.fat -F 32 -s 1"
			}
			kit.WantRefused(t, made, c.change, c.want)
		})
	}
}

func FuzzFat(f *testing.F) {
	kit.FuzzStamp(f, kit.Case{Type: "vfat", Size: kit.MiB}, nil, 0, 11, 17, 22, 42, 50, 36+18, 64+18, 504)
}

// Both regions get the right checksum, where the sectors are of 512 bytes.
func FuzzExfat(f *testing.F) {
	kit.FuzzStamp(f, kit.Case{Type: "exfat", Size: kit.MiB}, func(image kit.Image) {
		kit.Copy(image, 0, 12*512, []int64{0, 12 * 512}, func(region []byte, _ int64) {
			sum := uint32(0)
			for i, b := range region[:11*512] {
				if i != 106 && i != 107 && i != 112 {
					sum = sum>>1 | sum<<31
					sum += uint32(b)
				}
			}
			for at := 11 * 512; at < 12*512; at += 4 {
				binary.LittleEndian.PutUint32(region[at:], sum)
			}
		})
	}, 3, 72, 88, 96, 108, 109)
}

// The backup boot sector is made equal to the first.
func FuzzNtfs(f *testing.F) {
	const volume = 4*4096 + 3*1024
	kit.FuzzStamp(f, kit.Case{Type: "ntfs", Size: 2 * kit.MiB}, func(image kit.Image) {
		kit.Copy(image, 0, 512, []int64{2*kit.MiB - 512}, nil)
	}, 11, 40, 48, 64, volume, volume+20, volume+56, volume+510)
}
