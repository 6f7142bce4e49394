// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"bytes"
	"encoding/binary"
	"io"
)

// Offsets in the first page of a swap area. The signature ends the page.
const (
	swapVersion   = 1024
	swapLastPage  = 1028
	swapBadPages  = 1032
	swapUUID      = 1036
	swapPadding   = 1068 // after 16 bytes of label
	swapSignature = "SWAPSPACE2"
)

func newSwapStamp(size int64, image io.ReaderAt) (Stamp, error) {
	for page := int64(4 << 10); page <= 64<<10; page *= 2 {
		if page > size {
			break
		}
		header, err := readWithin(image, size, 0, int(page))
		if err != nil {
			return nil, err
		}
		if string(header[page-10:]) == swapSignature {
			return swapStamp(size, page, header)
		}
	}
	return nil, unsure("no signature")
}

// swapStamp checks header as mkswap leaves it, in this machine's byte order.
func swapStamp(size, page int64, header []byte) (Stamp, error) {
	order := binary.NativeEndian
	if v := order.Uint32(header[swapVersion:]); v != 1 {
		return nil, unsure("version %d", v)
	}
	if last := int64(order.Uint32(header[swapLastPage:])); last == 0 || last >= size/page {
		return nil, unsure("last page %d", last)
	}
	if n := order.Uint32(header[swapBadPages:]); n != 0 {
		return nil, unsure("%d bad pages", n)
	}
	if rest := header[swapPadding : page-10]; bytes.Count(rest, []byte{0}) != len(rest) {
		return nil, unsure("something after the label")
	}
	return places{[]int64{swapUUID}, uuidBytes}, nil
}
