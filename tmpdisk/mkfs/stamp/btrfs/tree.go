// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package btrfs

import (
	"bytes"
	"encoding/binary"
	"slices"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/ondisk"
)

const (
	// In the superblock's array each chunk follows its key.
	keyLength    = 17 // object, type, address
	keyChunk     = 228
	chunkHeader  = 48
	stripeLength = 32    // device, offset, UUID of the device
	notOneDevice = 0x7d8 // RAID of any kind

	// In a leaf of a tree items come after the header. The offsets of their
	// data count from there, and descend.
	leafUUID   = 32
	leafItems  = 96
	leafHeader = 101
	itemLength = 25 // key, offset and length of the data
)

// treeRoots are where the root of the chunk tree, and a copy of it, is on the
// disk: the superblock has the chunks that it is in.
func treeRoots(super []byte) []int64 {
	order := binary.LittleEndian
	root, node := order.Uint64(super[atChunkRoot:]), uint64(order.Uint32(super[atNodeSize:]))
	length := order.Uint32(super[atArrayLength:])
	ondisk.Want(length <= arrayMax, "%d bytes of chunks", length)
	var roots []int64
	for rest := super[atArray:][:length]; len(rest) > 0; {
		ondisk.Want(len(rest) >= keyLength+chunkHeader && rest[8] == keyChunk, "no chunk in the superblock")
		address, chunk := order.Uint64(rest[9:]), rest[keyLength:]
		size, kind, n := order.Uint64(chunk), order.Uint64(chunk[24:]), int(order.Uint16(chunk[44:]))
		stripes := chunk[chunkHeader:]
		ondisk.Want(kind&notOneDevice == 0 && (n == 1 || n == 2) && len(stripes) >= n*stripeLength,
			"chunk of type %#x, %d stripes", kind, n)
		into := root - address
		for stripe := range slices.Chunk(stripes[:n*stripeLength], stripeLength) {
			if root >= address && size >= node && into <= size-node {
				roots = append(roots, int64(order.Uint64(stripe[8:])+into))
			}
		}
		rest = stripes[n*stripeLength:]
	}
	ondisk.Want(len(roots) == 1 || len(roots) == 2, "%d copies of the chunk tree", len(roots))
	return roots
}

// findTree finds the UUID of the device in the one block of the chunk tree.
func findTree(super []byte, image ondisk.Image) ondisk.Region {
	order, roots := binary.LittleEndian, treeRoots(super)
	leaf := image.Bytes(roots[0], int(order.Uint32(super[atNodeSize:])))
	ondisk.Want(bytes.Equal(leaf[leafUUID:][:16], metadataUUID(super)), "chunk tree of another filesystem")
	c := ondisk.Check{Data: leaf, Order: order}
	c.Is("address of the chunk tree", 48, 8, order.Uint64(super[atChunkRoot:]), 0)
	c.Is("generation of the chunk tree", 80, 8, order.Uint64(super[atChunkGen:]), 0)
	c.Is("owner of the chunk tree", 88, 8, 3, 0)
	c.Is("level of the chunk tree", 100, 1, 0, 0)
	items := int(order.Uint32(leaf[leafItems:]))
	ondisk.Want(items >= 1 && items <= (len(leaf)-leafHeader)/itemLength, "%d items in the chunk tree", items)
	// Before the last item's data are stale bytes.
	last := leafHeader + int(order.Uint32(leaf[leafHeader+(items-1)*itemLength+keyLength:]))
	ondisk.Want(last <= len(leaf), "item past the end of the chunk tree")
	devices := devicesIn(super, leaf, last)
	ondisk.Want(len(devices) > 0, "no device in the chunk tree")
	return ondisk.Region{
		Offsets: roots,
		Data:    leaf,
		Fields:  []ondisk.Field{{Offsets: devices, Of: ondisk.SecondUUID}},
		Sum:     setSum,
	}
}

// devicesIn are where p, from from on, has the UUID of super's device.
func devicesIn(super, p []byte, from int) []int {
	uuid := super[atDeviceUUID:][:16]
	var devices []int
	for at := from; ; at += len(uuid) {
		i := bytes.Index(p[at:], uuid)
		if i < 0 {
			return devices
		}
		at += i
		devices = append(devices, at)
	}
}
