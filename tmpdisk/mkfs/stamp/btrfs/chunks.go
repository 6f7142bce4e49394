// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package btrfs

import (
	"bytes"
	"encoding/binary"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/ondisk"
)

// Offsets in the blocks of a tree. The offsets in its items count from where
// its header ends.
const (
	nodeUUID   = 32
	nodeItems  = 96
	nodeHeader = 101
	itemLength = 25 // key, offset and length of the data

	keyLength      = 17 // object, type, offset
	keyDevice      = 216
	keyChunk       = 228
	firstChunkTree = 256
	deviceLength   = 98
	chunkHeader    = 48
	stripeLength   = 32    // device, offset, UUID of the device
	notOneDevice   = 0x7d8 // RAID of any kind
)

// A chunk is where a range of addresses is on the disk.
type chunk struct {
	length  uint64
	stripes []uint64 // offsets on the disk
	devices []int    // where the item has the device's UUID
}

// readChunk reads the chunk that p begins with.
func readChunk(p, device []byte) (chunk, error) {
	order := binary.LittleEndian
	var c chunk
	if len(p) < chunkHeader {
		return c, ondisk.NotUnderstood("chunk of %d bytes", len(p))
	}
	c.length = order.Uint64(p)
	kind, n := order.Uint64(p[24:]), int(order.Uint16(p[44:]))
	if kind&notOneDevice != 0 || n < 1 || n > 2 || len(p) < chunkHeader+n*stripeLength {
		return c, ondisk.NotUnderstood("chunk of type %#x, %d stripes", kind, n)
	}
	for i := range n {
		at := chunkHeader + i*stripeLength
		stripe := p[at:][:stripeLength]
		if order.Uint64(stripe) != 1 || !bytes.Equal(stripe[16:], device) {
			return c, ondisk.NotUnderstood("chunk on another device")
		}
		c.stripes = append(c.stripes, order.Uint64(stripe[8:]))
		c.devices = append(c.devices, at+16)
	}
	return c, nil
}

// readArray reads the chunks that the superblock has: those of the chunk tree.
// roots are where the tree's root is on the disk, and devices where super has
// the UUID of the device.
func readArray(super []byte) (roots []int64, devices []int, err error) {
	order := binary.LittleEndian
	root, node := order.Uint64(super[atChunkRoot:]), uint64(order.Uint32(super[atNodeSize:]))
	length := order.Uint32(super[atArrayLength:])
	if length > arrayMax {
		return nil, nil, ondisk.NotUnderstood("%d bytes of chunks", length)
	}
	devices = []int{atDeviceUUID}
	end := atArray + int(length)
	for at := atArray; at < end; {
		if end-at < keyLength || super[at+8] != keyChunk {
			return nil, nil, ondisk.NotUnderstood("no chunk in the superblock")
		}
		address := order.Uint64(super[at+9:])
		at += keyLength
		c, err := readChunk(super[at:end], super[atDeviceUUID:][:16])
		if err != nil {
			return nil, nil, err
		}
		for _, d := range c.devices {
			devices = append(devices, at+d)
		}
		if into := root - address; root >= address && c.length >= node && into <= c.length-node {
			for _, s := range c.stripes {
				roots = append(roots, int64(s+into))
			}
		}
		at += chunkHeader + len(c.stripes)*stripeLength
	}
	if n := len(roots); n < 1 || n > 2 {
		return nil, nil, ondisk.NotUnderstood("%d copies of the chunk tree", n)
	}
	return roots, devices, nil
}

// findChunkTree finds the UUID of the device in the tree's one block.
func findChunkTree(super []byte, roots []int64, image ondisk.Image) (ondisk.Region, error) {
	var none ondisk.Region
	order := binary.LittleEndian
	leaf, err := image.Bytes(roots[0], int(order.Uint32(super[atNodeSize:])))
	if err != nil {
		return none, err
	}
	if !bytes.Equal(leaf[nodeUUID:][:16], metadataUUID(super)) {
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
	items := int(order.Uint32(leaf[nodeItems:]))
	if items < 1 || items > (len(leaf)-nodeHeader)/itemLength {
		return none, ondisk.NotUnderstood("%d items in the chunk tree", items)
	}
	var devices []int
	for i := range items {
		item := leaf[nodeHeader+i*itemLength:][:itemLength]
		if (i == 0) != (item[8] == keyDevice) {
			return none, ondisk.NotUnderstood("not one device in the chunk tree")
		}
		more, err := readItem(item, leaf, super)
		if err != nil {
			return none, err
		}
		devices = append(devices, more...)
	}
	return ondisk.Region{
		Offsets: roots,
		Data:    leaf,
		Fields:  []ondisk.Field{{Offsets: devices, Of: ondisk.SecondUUID}},
		Sum:     setSum,
	}, nil
}

// readItem returns where leaf has the UUID of the device in the item's data.
func readItem(item, leaf, super []byte) ([]int, error) {
	order := binary.LittleEndian
	device := super[atDeviceUUID:][:16]
	object, kind, key := order.Uint64(item), item[8], order.Uint64(item[9:])
	begin := nodeHeader + uint64(order.Uint32(item[keyLength:]))
	end := begin + uint64(order.Uint32(item[keyLength+4:]))
	if end > uint64(len(leaf)) {
		return nil, ondisk.NotUnderstood("item past the end of the chunk tree")
	}
	data := leaf[begin:end]
	switch {
	case kind == keyDevice && object == 1 && key == 1 && len(data) == deviceLength:
		const uuid = atDeviceUUID - atDeviceID
		if !bytes.Equal(data[uuid:], super[atDeviceUUID:atDeviceFSID+16]) {
			return nil, ondisk.NotUnderstood("another device in the chunk tree")
		}
		return []int{int(begin) + uuid}, nil
	case kind == keyChunk && object == firstChunkTree:
		c, err := readChunk(data, device)
		for i := range c.devices {
			c.devices[i] += int(begin)
		}
		return c.devices, err
	}
	return nil, ondisk.NotUnderstood("item of type %d in the chunk tree", kind)
}
