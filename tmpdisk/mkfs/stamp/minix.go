// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package stamp

import (
	"encoding/binary"
	"slices"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/ondisk"
)

// findMinix looks for the magic numbers of versions 1 and 2, each with names of
// 14 or 30 characters, and of version 3. None has an identity.
func findMinix(image ondisk.Image) []ondisk.Region {
	super := image.Bytes(1024, 32)
	old, third := binary.NativeEndian.Uint16(super[16:]), binary.NativeEndian.Uint16(super[24:])
	known := slices.Contains([]uint16{0x137f, 0x138f, 0x2468, 0x2478}, old) || third == 0x4d5a
	ondisk.Want(known, "no magic number")
	return nil
}
