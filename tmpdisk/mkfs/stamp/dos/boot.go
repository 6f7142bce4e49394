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

// checkBoot begins the check of a boot sector of the filesystem called name,
// "" for any.
func checkBoot(boot []byte, name string) *ondisk.Check {
	c := &ondisk.Check{Data: boot, Order: binary.LittleEndian}
	c.Is("boot sector that ends in", bootEnd, 2, 0xaa55, 0)
	if got := string(boot[bootName:][:len(name)]); got != name && c.Err == nil {
		c.Err = ondisk.NotUnderstood("boot sector of %q", got)
	}
	return c
}

func isSectorSize(n int64) bool { return n == 512 || n == 1024 || n == 2048 || n == 4096 }
