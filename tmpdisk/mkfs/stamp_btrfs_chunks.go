// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"slices"
)

// Offsets in the blocks of a tree. The offsets in its items count from where
// its header ends.
const (
	btrfsNodeUUID    = 32
	btrfsNodeAddress = 48
	btrfsNodeGen     = 80
	btrfsNodeOwner   = 88
	btrfsNodeItems   = 96
	btrfsNodeLevel   = 100
	btrfsNodeHeader  = 101
	btrfsItemLength  = 25 // key, offset and length of the data

	btrfsKeyLength      = 17 // object, type, offset
	btrfsKeyDevice      = 216
	btrfsKeyChunk       = 228
	btrfsFirstChunkTree = 256
	btrfsDeviceLength   = 98
	btrfsChunkHeader    = 48
	btrfsStripeLength   = 32 // device, offset, UUID of the device
	btrfsChunkTreeOwner = 3
	btrfsNotOneDevice   = 0x7d8 // RAID of any kind
)

// A btrfsChunk is where a range of addresses is on the disk.
type btrfsChunk struct {
	address, length uint64
	stripes         []uint64 // offsets on the disk
	devices         []int    // where the item has the device's UUID
}

// readBtrfsChunk reads the chunk that p begins with, at address.
func readBtrfsChunk(p []byte, address uint64, device []byte) (btrfsChunk, error) {
	order := binary.LittleEndian
	var c btrfsChunk
	if len(p) < btrfsChunkHeader {
		return c, unsure("chunk of %d bytes", len(p))
	}
	c.address, c.length = address, order.Uint64(p)
	kind, n := order.Uint64(p[24:]), int(order.Uint16(p[44:]))
	if kind&btrfsNotOneDevice != 0 || n < 1 || n > 2 || len(p) < btrfsChunkHeader+n*btrfsStripeLength {
		return c, unsure("chunk of type %#x, %d stripes", kind, n)
	}
	for i := range n {
		at := btrfsChunkHeader + i*btrfsStripeLength
		stripe := p[at:][:btrfsStripeLength]
		if order.Uint64(stripe) != 1 || !bytes.Equal(stripe[16:], device) {
			return c, unsure("chunk on another device")
		}
		c.stripes = append(c.stripes, order.Uint64(stripe[8:]))
		c.devices = append(c.devices, at+16)
	}
	return c, nil
}

// btrfsArrayed is what the superblock says of the chunk tree.
type btrfsArrayed struct {
	copies  []int64 // where its root is on the disk
	devices []int   // where the superblock has the device's UUID
}

func readBtrfsArray(sb []byte) (btrfsArrayed, error) {
	order := binary.LittleEndian
	var found btrfsArrayed
	root, node := order.Uint64(sb[btrfsChunkRoot:]), uint64(order.Uint32(sb[btrfsNodeSize:]))
	length := order.Uint32(sb[btrfsArrayLength:])
	if length > btrfsArrayMax {
		return found, unsure("%d bytes of chunks", length)
	}
	end := btrfsArray + int(length)
	for at := btrfsArray; at < end; {
		if end-at < btrfsKeyLength || sb[at+8] != btrfsKeyChunk {
			return found, unsure("no chunk in the superblock")
		}
		address := order.Uint64(sb[at+9:])
		at += btrfsKeyLength
		c, err := readBtrfsChunk(sb[at:end], address, sb[btrfsDeviceUUID:][:16])
		if err != nil {
			return found, err
		}
		for _, d := range c.devices {
			found.devices = append(found.devices, at+d)
		}
		if into := root - c.address; root >= c.address && c.length >= node && into <= c.length-node {
			for _, s := range c.stripes {
				found.copies = append(found.copies, int64(s+into))
			}
		}
		at += btrfsChunkHeader + len(c.stripes)*btrfsStripeLength
	}
	if n := len(found.copies); n < 1 || n > 2 {
		return found, unsure("%d copies of the chunk tree", n)
	}
	return found, nil
}

func btrfsChunkTree(sb []byte, copies []int64, size int64, image io.ReaderAt) ([]region, error) {
	var all []region
	var first []byte
	for _, off := range copies {
		leaf, err := readWithin(image, size, off, int(binary.LittleEndian.Uint32(sb[btrfsNodeSize:])))
		if err != nil {
			return nil, err
		}
		if first == nil {
			first = leaf
		}
		if !bytes.Equal(leaf, first) {
			return nil, unsure("copies of the chunk tree differ")
		}
		devices, err := readBtrfsLeaf(leaf, sb)
		if err != nil {
			return nil, err
		}
		all = append(all, btrfsLeafRegion(off, leaf, devices))
	}
	return all, nil
}

// btrfsLeafRegion is the checksum of leaf, and what comes after the first UUID
// of the device: items' data fill a leaf from its end, and most of it is free.
func btrfsLeafRegion(off int64, leaf []byte, devices []int) region {
	tail := slices.Min(devices)
	before := crc32.Checksum(leaf[btrfsSumEnd:tail], castagnoli)
	r := region{
		off: off, data: append(leaf[:btrfsSumEnd:btrfsSumEnd], leaf[tail:]...),
		head: btrfsSumEnd, gap: tail - btrfsSumEnd,
		sum: func(data []byte) {
			sum := crc32.Update(before, castagnoli, data[btrfsSumEnd:])
			binary.LittleEndian.PutUint32(data[btrfsSum:], sum)
		},
	}
	for _, d := range devices {
		r.devices = append(r.devices, d-r.gap)
	}
	return r
}

// readBtrfsLeaf returns where the chunk tree has the UUID of the device.
func readBtrfsLeaf(leaf, sb []byte) ([]int, error) {
	order := binary.LittleEndian
	right := bytes.Clone(leaf)
	setBtrfsSum(right)
	if !bytes.Equal(right, leaf) {
		return nil, unsure("wrong checksum of the chunk tree")
	}
	if !bytes.Equal(leaf[btrfsNodeUUID:][:16], btrfsMetadataUUID(sb)) || leaf[btrfsNodeLevel] != 0 ||
		order.Uint64(leaf[btrfsNodeAddress:]) != order.Uint64(sb[btrfsChunkRoot:]) ||
		order.Uint64(leaf[btrfsNodeGen:]) != order.Uint64(sb[btrfsChunkGen:]) ||
		order.Uint64(leaf[btrfsNodeOwner:]) != btrfsChunkTreeOwner {
		return nil, unsure("not a chunk tree of one block")
	}
	items := int(order.Uint32(leaf[btrfsNodeItems:]))
	if items > (len(leaf)-btrfsNodeHeader)/btrfsItemLength {
		return nil, unsure("%d items in the chunk tree", items)
	}
	var devices []int
	for i := range items {
		item := leaf[btrfsNodeHeader+i*btrfsItemLength:][:btrfsItemLength]
		more, err := readBtrfsItem(item, leaf, sb)
		if err != nil {
			return nil, err
		}
		if (i == 0) != (item[8] == btrfsKeyDevice) {
			return nil, unsure("not one device in the chunk tree")
		}
		devices = append(devices, more...)
	}
	if len(devices) == 0 {
		return nil, unsure("no device in the chunk tree")
	}
	return devices, nil
}

func readBtrfsItem(item, leaf, sb []byte) ([]int, error) {
	order := binary.LittleEndian
	device := sb[btrfsDeviceUUID:][:16]
	object, kind, key := order.Uint64(item), item[8], order.Uint64(item[9:])
	begin := btrfsNodeHeader + uint64(order.Uint32(item[btrfsKeyLength:]))
	end := begin + uint64(order.Uint32(item[btrfsKeyLength+4:]))
	if end > uint64(len(leaf)) {
		return nil, unsure("item past the end of the chunk tree")
	}
	data := leaf[begin:end]
	switch {
	case kind == btrfsKeyDevice && object == 1 && key == 1 && len(data) == btrfsDeviceLength:
		const uuid = btrfsDeviceUUID - btrfsDeviceID
		if !bytes.Equal(data[uuid:], sb[btrfsDeviceUUID:btrfsDeviceFSID+16]) {
			return nil, unsure("another device in the chunk tree")
		}
		return []int{int(begin) + uuid}, nil
	case kind == btrfsKeyChunk && object == btrfsFirstChunkTree:
		c, err := readBtrfsChunk(data, key, device)
		for i := range c.devices {
			c.devices[i] += int(begin)
		}
		return c.devices, err
	}
	return nil, unsure("item of type %d in the chunk tree", kind)
}
