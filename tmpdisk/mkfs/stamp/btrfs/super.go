// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package btrfs

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"slices"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/ondisk"
)

// Offsets in the superblock, which is little-endian, as all of btrfs.
const (
	atSum         = 0 // also of a tree's blocks; four of 32 bytes, for CRC-32C
	atSumEnd      = 32
	atUUID        = 32
	atAddress     = 48 // of this copy
	atChunkRoot   = 88
	atTotal       = 112 // bytes
	atNodeSize    = 148
	atArrayLength = 160
	atChunkGen    = 164
	atIncompat    = 188
	atDeviceID    = 201
	atDeviceUUID  = 267
	atDeviceFSID  = 283
	atMetaUUID    = 571
	atArray       = 811 // chunks that the chunk tree is in
	arrayMax      = 2048
	superLength   = 4096
)

// metaUUIDBit is the feature that the UUID of the trees is another.
const metaUUIDBit = 0x400

// superblocks are where the copies of the superblock stand, if the disk is
// large enough.
var superblocks = [...]int64{64 << 10, 64 << 20, 256 << 30}

// Find finds the superblocks, which get another UUID, while the mold's stays in
// metadata_uuid, which is what all trees are compared with. The UUID of the
// device stands in the superblocks and in the chunk tree, which is one block in
// a fresh filesystem.
func Find(image ondisk.Image) []ondisk.Region {
	super := image.Bytes(superblocks[0], superLength)
	checkSuper(super, image.Size)
	tree := findTree(super, image)
	return append(findSupers(super), tree)
}

// metadataUUID is the UUID that all trees have.
func metadataUUID(super []byte) []byte {
	if binary.LittleEndian.Uint64(super[atIncompat:])&metaUUIDBit != 0 {
		return super[atMetaUUID:][:16]
	}
	return super[atUUID:][:16]
}

// findSupers makes all copies of first, but for their addresses. The UUID of the
// device is also in the array of chunks.
func findSupers(first []byte) []ondisk.Region {
	order := binary.LittleEndian
	features := order.Uint64(first[atIncompat:]) | metaUUIDBit
	used := atArray + int(order.Uint32(first[atArrayLength:]))
	fields := []ondisk.Field{
		{Offsets: []int{atUUID}, Of: ondisk.UUID},
		{Offsets: devicesIn(first, first[:used], atDeviceID), Of: ondisk.SecondUUID},
		{Offsets: []int{atIncompat}, Of: ondisk.Always(order.AppendUint64(nil, features))},
		{Offsets: []int{atMetaUUID}, Of: ondisk.Always(metadataUUID(first))},
	}
	var regions []ondisk.Region
	for _, off := range superblocks {
		if off+superLength > int64(order.Uint64(first[atTotal:])) {
			break
		}
		data := slices.Clone(first)
		order.PutUint64(data[atAddress:], uint64(off))
		setSum(data)
		regions = append(regions, ondisk.Region{Offsets: []int64{off}, Data: data, Fields: fields, Sum: setSum})
	}
	return regions
}

func checkSuper(super []byte, size int64) {
	c := ondisk.Check{Data: super, Order: binary.LittleEndian}
	c.Is("magic number", 64, 8, 0x4d5f53665248425f, 0) // _BHRfS_M
	c.Is("flags", 56, 8, 1, 0)                         // written
	c.Is("compat", 172, 8, 0, 0)
	// Free space tree, and that it is valid; block group tree.
	c.Is("ro compat", 180, 8, 0, 0x00b)
	// Old back references, mixed block groups, big metadata, extended
	// references, skinny metadata, no holes, metadata UUID.
	c.Is("incompat", atIncompat, 8, 0, 0x765)
	c.Is("type of checksums", 196, 2, 0, 0)
	c.Is("number of devices", 136, 8, 1, 0)
	c.Is("device", atDeviceID, 8, 1, 0)
	c.Is("log", 96, 8, 0, 0)
	c.Is("level of the chunk tree", 199, 1, 0, 0)
	ondisk.Want(!ondisk.IsZero(super[atDeviceUUID:][:16]) && bytes.Equal(super[atDeviceFSID:][:16], metadataUUID(super)),
		"the device is of another filesystem")
	node, total := c.Order.Uint32(super[atNodeSize:]), c.Order.Uint64(super[atTotal:])
	ondisk.Want(node >= 4<<10 && node <= 64<<10 && node&(node-1) == 0, "nodes of %d bytes", node)
	ondisk.Want(total <= uint64(size) && total >= uint64(superblocks[0])+superLength, "%d bytes", total)
}

// setSum sets the checksum of a superblock or of a tree's block.
func setSum(block []byte) {
	clear(block[atSum:atSumEnd])
	binary.LittleEndian.PutUint32(block[atSum:], crc32.Checksum(block[atSumEnd:], ondisk.Castagnoli))
}
