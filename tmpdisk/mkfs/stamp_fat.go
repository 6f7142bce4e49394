// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"bytes"
	"encoding/binary"
	"io"
)

// Offsets in the boot sector, which is little-endian, as all of FAT.
const (
	fatSectorSize    = 11
	fatCluster       = 13 // sectors in a cluster
	fatReserved      = 14 // sectors before the first FAT
	fatCopies        = 16
	fatRootEntries   = 17 // 0 in FAT32
	fatSectors16     = 19
	fatLength16      = 22 // sectors of a FAT; 0 in FAT32
	fatSectors32     = 32
	fat32Version     = 42
	fat32Backup      = 50
	fatExtended      = 36 // FAT12 and FAT16
	fat32Extended    = 64
	fatExtendedSign  = 2 // in the extended part, as the rest
	fatSerial        = 3
	fatTypeName      = 18
	bootSectorEnd    = 510
	bootSectorLength = 512
)

// newFatStamp knows FAT12, FAT16 and FAT32, which has a backup boot sector.
func newFatStamp(size int64, image io.ReaderAt) (Stamp, error) {
	boot, err := readWithin(image, size, 0, bootSectorLength)
	if err != nil {
		return nil, err
	}
	if err := checkFat(boot, size); err != nil {
		return nil, err
	}
	order := binary.LittleEndian
	if order.Uint16(boot[fatLength16:]) != 0 {
		name := string(boot[fatExtended+fatTypeName:][:8])
		if name != "FAT12   " && name != "FAT16   " || boot[fatExtended+fatExtendedSign] != 0x29 {
			return nil, unsure("type %q", name)
		}
		return places{[]int64{fatExtended + fatSerial}, serial32}, nil
	}
	name, version := string(boot[fat32Extended+fatTypeName:][:8]), order.Uint16(boot[fat32Version:])
	if name != "FAT32   " || boot[fat32Extended+fatExtendedSign] != 0x29 || version != 0 {
		return nil, unsure("type %q, version %d", name, version)
	}
	at := order.Uint16(boot[fat32Backup:])
	if at == 0 || at >= order.Uint16(boot[fatReserved:]) {
		return nil, unsure("backup boot sector %d", at)
	}
	off := int64(at) * int64(order.Uint16(boot[fatSectorSize:]))
	backup, err := readWithin(image, size, off, bootSectorLength)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(boot, backup) {
		return nil, unsure("backup boot sector differs")
	}
	return places{[]int64{fat32Extended + fatSerial, off + fat32Extended + fatSerial}, serial32}, nil
}

// checkFat checks what all kinds of FAT have in common.
func checkFat(boot []byte, size int64) error {
	order := binary.LittleEndian
	if boot[0] != 0xeb && boot[0] != 0xe9 || order.Uint16(boot[bootSectorEnd:]) != 0xaa55 {
		return unsure("not a boot sector")
	}
	sector := int64(order.Uint16(boot[fatSectorSize:]))
	if !isSectorSize(sector) {
		return unsure("sectors of %d bytes", sector)
	}
	if n := boot[fatCluster]; n == 0 || n&(n-1) != 0 {
		return unsure("clusters of %d sectors", n)
	}
	if n := boot[fatCopies]; n != 1 && n != 2 {
		return unsure("%d FATs", n)
	}
	if (order.Uint16(boot[fatLength16:]) == 0) != (order.Uint16(boot[fatRootEntries:]) == 0) {
		return unsure("neither FAT16 nor FAT32")
	}
	sectors := int64(order.Uint16(boot[fatSectors16:]))
	if sectors == 0 {
		sectors = int64(order.Uint32(boot[fatSectors32:]))
	}
	reserved := int64(order.Uint16(boot[fatReserved:]))
	if reserved == 0 || reserved >= sectors || sectors > size/sector {
		return unsure("%d sectors, %d of them reserved", sectors, reserved)
	}
	return nil
}

func isSectorSize(n int64) bool { return n == 512 || n == 1024 || n == 2048 || n == 4096 }
