// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package stamp

import (
	"encoding/binary"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/ondisk"
)

// findMinix looks for the magic numbers of versions 1 and 2, each with names of
// 14 or 30 characters, and of version 3. None has an identity.
func findMinix(image ondisk.Image) ([]ondisk.Region, error) {
	super, err := image.Bytes(1024, 32)
	if err != nil {
		return nil, err
	}
	order := binary.NativeEndian
	switch order.Uint16(super[16:]) {
	case 0x137f, 0x138f, 0x2468, 0x2478:
		return nil, nil
	}
	if order.Uint16(super[24:]) == 0x4d5a {
		return nil, nil
	}
	return nil, ondisk.NotUnderstood("no magic number")
}
