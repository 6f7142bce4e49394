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
func FindFAT(image ondisk.Image) []ondisk.Region {
	boot := readBoot(image, "").Data
	checkFAT(boot, image.Size)
	order := binary.LittleEndian
	offsets, extended, version := []int64{0}, fatExtended, uint16(0)
	if order.Uint16(boot[fatLength16:]) == 0 {
		backup := order.Uint16(boot[fat32Backup:])
		ondisk.Want(backup > 0 && backup < order.Uint16(boot[fatReserved:]), "backup boot sector %d", backup)
		offsets = append(offsets, int64(backup)*int64(order.Uint16(boot[sectorSize:])))
		extended, version = fat32Extended, order.Uint16(boot[fat32Version:])
	}
	name := string(boot[extended+fatTypeName:][:8])
	known := name == "FAT32   "
	if extended == fatExtended {
		known = name == "FAT12   " || name == "FAT16   "
	}
	ondisk.Want(known && boot[extended+fatExtendedSign] == 0x29 && version == 0, "type %q, version %d", name, version)
	return []ondisk.Region{{
		Offsets: offsets,
		Data:    boot,
		Fields:  []ondisk.Field{{Offsets: []int{extended + fatSerial}, Of: ondisk.Serial32}},
	}}
}

// checkFAT checks what all kinds of FAT have in common.
func checkFAT(boot []byte, size int64) {
	order := binary.LittleEndian
	ondisk.Want(boot[0] == 0xeb || boot[0] == 0xe9, "boot sector that begins with %#x", boot[0])
	sector := readSectorSize(boot)
	cluster, copies := boot[fatCluster], boot[fatCopies]
	ondisk.Want(cluster != 0 && cluster&(cluster-1) == 0, "clusters of %d sectors", cluster)
	ondisk.Want(copies == 1 || copies == 2, "%d FATs", copies)
	ondisk.Want((order.Uint16(boot[fatLength16:]) == 0) == (order.Uint16(boot[fatRootEntries:]) == 0),
		"neither FAT16 nor FAT32")
	sectors := int64(order.Uint16(boot[fatSectors16:]))
	if sectors == 0 {
		sectors = int64(order.Uint32(boot[fatSectors32:]))
	}
	reserved := int64(order.Uint16(boot[fatReserved:]))
	ondisk.Want(reserved > 0 && reserved < sectors && sectors <= size/sector,
		"%d sectors, %d of them reserved", sectors, reserved)
}
