// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package stamp

import (
	"encoding/binary"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/ondisk"
)

// Offsets in the first page of a swap area. The signature ends the page.
const (
	swapLastPage  = 1028
	swapUUID      = 1036
	swapPadding   = 1068 // after 16 bytes of label
	swapSignature = "SWAPSPACE2"
)

// findSwap tries pages of all sizes that Linux has.
func findSwap(image ondisk.Image) ([]ondisk.Region, error) {
	for page := int64(4 << 10); page <= min(64<<10, image.Size); page *= 2 {
		header, err := image.Bytes(0, int(page))
		if err != nil {
			return nil, err
		}
		if string(header[page-10:]) != swapSignature {
			continue
		}
		if err := checkSwap(header, image.Size/page); err != nil {
			return nil, err
		}
		return []ondisk.Region{{
			Offsets: []int64{0},
			Data:    header,
			Fields:  []ondisk.Field{{Offsets: []int{swapUUID}, Of: ondisk.UUID}},
		}}, nil
	}
	return nil, ondisk.NotUnderstood("no signature")
}

// checkSwap wants header as mkswap leaves it, in this machine's byte order.
func checkSwap(header []byte, pages int64) error {
	c := ondisk.Check{Data: header, Order: binary.NativeEndian}
	c.Is("version", 1024, 4, 1, 0)
	c.Is("bad pages", 1032, 4, 0, 0)
	if last := int64(c.Order.Uint32(header[swapLastPage:])); last == 0 || last >= pages {
		return ondisk.NotUnderstood("last page %d", last)
	}
	if !ondisk.IsZero(header[swapPadding : len(header)-len(swapSignature)]) {
		return ondisk.NotUnderstood("something after the label")
	}
	return c.Err
}
