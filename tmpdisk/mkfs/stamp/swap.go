// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package stamp

import (
	"bytes"
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
func findSwap(image ondisk.Image) []ondisk.Region {
	var header []byte
	for page := 4 << 10; !bytes.HasSuffix(header, []byte(swapSignature)); page *= 2 {
		ondisk.Want(page <= 64<<10 && int64(page) <= image.Size, "no signature")
		header = image.Bytes(0, page)
	}
	checkSwap(header, image.Size/int64(len(header)))
	return []ondisk.Region{{
		Offsets: []int64{0},
		Data:    header,
		Fields:  []ondisk.Field{{Offsets: []int{swapUUID}, Of: ondisk.UUID}},
	}}
}

// checkSwap wants header as mkswap leaves it, in this machine's byte order.
func checkSwap(header []byte, pages int64) {
	c := ondisk.Check{Data: header, Order: binary.NativeEndian}
	c.Is("version", 1024, 4, 1, 0)
	c.Is("bad pages", 1032, 4, 0, 0)
	last := int64(c.Order.Uint32(header[swapLastPage:]))
	ondisk.Want(last > 0 && last < pages, "last page %d", last)
	ondisk.Want(ondisk.IsZero(header[swapPadding:len(header)-len(swapSignature)]), "something after the label")
}
