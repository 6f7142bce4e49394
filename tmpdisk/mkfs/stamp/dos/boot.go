// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package dos

import (
	"encoding/binary"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/ondisk"
)

// Offsets in the boot sector. All is little-endian.
const (
	bootName   = 3
	sectorSize = 11 // not in exFAT
	bootEnd    = 510
	bootLength = 512
)

// readBoot begins the check of the boot sector, which has the filesystem's name in
// it, "" for any.
func readBoot(image ondisk.Image, name string) ondisk.Check {
	c := ondisk.Check{Data: image.Bytes(0, bootLength), Order: binary.LittleEndian}
	c.Is("boot sector that ends in", bootEnd, 2, 0xaa55, 0)
	got := string(c.Data[bootName:][:len(name)])
	ondisk.Want(got == name, "boot sector of %q", got)
	return c
}

// readSectorSize is in bytes, from the boot sector of FAT or NTFS.
func readSectorSize(boot []byte) int64 {
	n := int64(binary.LittleEndian.Uint16(boot[sectorSize:]))
	ondisk.Want(n == 512 || n == 1024 || n == 2048 || n == 4096, "sectors of %d bytes", n)
	return n
}
