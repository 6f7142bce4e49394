// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package dos

import (
	"encoding/binary"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/ondisk"
)

// Offsets in the boot sector.
const (
	fatCluster      = 13 // sectors in a cluster
	fatReserved     = 14 // sectors before the first FAT
	fatCopies       = 16
	fatRootEntries  = 17 // 0 in FAT32
	fatSectors16    = 19
	fatLength16     = 22 // sectors of a FAT; 0 in FAT32
	fatSectors32    = 32
	fat32Version    = 42
	fat32Backup     = 50
	fatExtended     = 36 // FAT12 and FAT16
	fat32Extended   = 64
	fatExtendedSign = 2 // in the extended part, as the rest
	fatSerial       = 3
	fatTypeName     = 18
)

// FindFAT knows FAT12, FAT16 and FAT32, which has a backup boot sector.
func FindFAT(image ondisk.Image) ([]ondisk.Region, error) {
	boot, err := image.Bytes(0, bootLength)
	if err != nil {
		return nil, err
	}
	if err := checkFAT(boot, image.Size); err != nil {
		return nil, err
	}
	order := binary.LittleEndian
	offsets, extended, version := []int64{0}, fatExtended, uint16(0)
	if order.Uint16(boot[fatLength16:]) == 0 {
		backup := order.Uint16(boot[fat32Backup:])
		if backup == 0 || backup >= order.Uint16(boot[fatReserved:]) {
			return nil, ondisk.NotUnderstood("backup boot sector %d", backup)
		}
		offsets = append(offsets, int64(backup)*int64(order.Uint16(boot[sectorSize:])))
		extended, version = fat32Extended, order.Uint16(boot[fat32Version:])
	}
	name := string(boot[extended+fatTypeName:][:8])
	known := name == "FAT32   "
	if extended == fatExtended {
		known = name == "FAT12   " || name == "FAT16   "
	}
	if !known || boot[extended+fatExtendedSign] != 0x29 || version != 0 {
		return nil, ondisk.NotUnderstood("type %q, version %d", name, version)
	}
	return []ondisk.Region{{
		Offsets: offsets,
		Data:    boot,
		Fields:  []ondisk.Field{{Offsets: []int{extended + fatSerial}, Of: ondisk.Serial32}},
	}}, nil
}

// checkFAT checks what all kinds of FAT have in common.
func checkFAT(boot []byte, size int64) error {
	order := binary.LittleEndian
	if err := checkBoot(boot, "").Err; err != nil {
		return err
	}
	if boot[0] != 0xeb && boot[0] != 0xe9 {
		return ondisk.NotUnderstood("boot sector that begins with %#x", boot[0])
	}
	sector := int64(order.Uint16(boot[sectorSize:]))
	if !isSectorSize(sector) {
		return ondisk.NotUnderstood("sectors of %d bytes", sector)
	}
	if n := boot[fatCluster]; n == 0 || n&(n-1) != 0 {
		return ondisk.NotUnderstood("clusters of %d sectors", n)
	}
	if n := boot[fatCopies]; n != 1 && n != 2 {
		return ondisk.NotUnderstood("%d FATs", n)
	}
	if (order.Uint16(boot[fatLength16:]) == 0) != (order.Uint16(boot[fatRootEntries:]) == 0) {
		return ondisk.NotUnderstood("neither FAT16 nor FAT32")
	}
	sectors := int64(order.Uint16(boot[fatSectors16:]))
	if sectors == 0 {
		sectors = int64(order.Uint32(boot[fatSectors32:]))
	}
	reserved := int64(order.Uint16(boot[fatReserved:]))
	if reserved == 0 || reserved >= sectors || sectors > size/sector {
		return ondisk.NotUnderstood("%d sectors, %d of them reserved", sectors, reserved)
	}
	return nil
}
