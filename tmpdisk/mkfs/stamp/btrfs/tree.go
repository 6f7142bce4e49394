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
func treeRoots(super []byte) ([]int64, error) {
	order := binary.LittleEndian
	root, node := order.Uint64(super[atChunkRoot:]), uint64(order.Uint32(super[atNodeSize:]))
	length := order.Uint32(super[atArrayLength:])
	if length > arrayMax {
		return nil, ondisk.NotUnderstood("%d bytes of chunks", length)
	}
	var roots []int64
	for rest := super[atArray:][:length]; len(rest) > 0; {
		if len(rest) < keyLength+chunkHeader || rest[8] != keyChunk {
			return nil, ondisk.NotUnderstood("no chunk in the superblock")
		}
		address, chunk := order.Uint64(rest[9:]), rest[keyLength:]
		size, kind, n := order.Uint64(chunk), order.Uint64(chunk[24:]), int(order.Uint16(chunk[44:]))
		stripes := chunk[chunkHeader:]
		if kind&notOneDevice != 0 || n < 1 || n > 2 || len(stripes) < n*stripeLength {
			return nil, ondisk.NotUnderstood("chunk of type %#x, %d stripes", kind, n)
		}
		into := root - address
		for stripe := range slices.Chunk(stripes[:n*stripeLength], stripeLength) {
			if root >= address && size >= node && into <= size-node {
				roots = append(roots, int64(order.Uint64(stripe[8:])+into))
			}
		}
		rest = stripes[n*stripeLength:]
	}
	if n := len(roots); n < 1 || n > 2 {
		return nil, ondisk.NotUnderstood("%d copies of the chunk tree", n)
	}
	return roots, nil
}

// findTree finds the UUID of the device in the one block of the chunk tree.
func findTree(super []byte, roots []int64, image ondisk.Image) (ondisk.Region, error) {
	var none ondisk.Region
	order := binary.LittleEndian
	leaf, err := image.Bytes(roots[0], int(order.Uint32(super[atNodeSize:])))
	if err != nil {
		return none, err
	}
	if !bytes.Equal(leaf[leafUUID:][:16], metadataUUID(super)) {
		return none, ondisk.NotUnderstood("chunk tree of another filesystem")
	}
	c := ondisk.Check{Data: leaf, Order: order}
	c.Is("address of the chunk tree", 48, 8, order.Uint64(super[atChunkRoot:]), 0)
	c.Is("generation of the chunk tree", 80, 8, order.Uint64(super[atChunkGen:]), 0)
	c.Is("owner of the chunk tree", 88, 8, 3, 0)
	c.Is("level of the chunk tree", 100, 1, 0, 0)
	if c.Err != nil {
		return none, c.Err
	}
	items := int(order.Uint32(leaf[leafItems:]))
	if items < 1 || items > (len(leaf)-leafHeader)/itemLength {
		return none, ondisk.NotUnderstood("%d items in the chunk tree", items)
	}
	// Before the last item's data are stale bytes.
	last := leafHeader + int(order.Uint32(leaf[leafHeader+(items-1)*itemLength+keyLength:]))
	if last > len(leaf) {
		return none, ondisk.NotUnderstood("item past the end of the chunk tree")
	}
	devices := devicesIn(super, leaf, last)
	if len(devices) == 0 {
		return none, ondisk.NotUnderstood("no device in the chunk tree")
	}
	return ondisk.Region{
		Offsets: roots,
		Data:    leaf,
		Fields:  []ondisk.Field{{Offsets: devices, Of: ondisk.SecondUUID}},
		Sum:     setSum,
	}, nil
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
