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

// Offsets in the superblock, which is little-endian, as all of btrfs.
const (
	btrfsSum         = 0 // also of a tree's blocks; four of 32 bytes, for CRC-32C
	btrfsSumEnd      = 32
	btrfsUUID        = 32
	btrfsAddress     = 48 // of this copy
	btrfsFlags       = 56
	btrfsMagic       = 64
	btrfsChunkRoot   = 88
	btrfsLogRoot     = 96
	btrfsTotal       = 112 // bytes
	btrfsDevices     = 136
	btrfsNodeSize    = 148
	btrfsArrayLength = 160
	btrfsChunkGen    = 164
	btrfsCompat      = 172
	btrfsROCompat    = 180
	btrfsIncompat    = 188
	btrfsSumType     = 196
	btrfsChunkLevel  = 199
	btrfsDeviceID    = 201
	btrfsDeviceUUID  = 267
	btrfsDeviceFSID  = 283
	btrfsMetaUUID    = 571
	btrfsArray       = 811 // chunks that the chunk tree is in
	btrfsArrayMax    = 2048
	btrfsLength      = 4096
)

// The features that stamping knows.
const (
	btrfsWritten     = 1
	btrfsMetaUUIDBit = 0x400
	// old back references, mixed block groups, big metadata, extended
	// references, skinny metadata, no holes, metadata UUID
	btrfsKnownIncompat = 0x765
	btrfsKnownROCompat = 0x00b // free space tree, and that it is valid; block group tree
)

// btrfsSupers are where the copies of the superblock stand, if the disk is
// large enough.
var btrfsSupers = [...]int64{64 << 10, 64 << 20, 256 << 30}

// newBtrfsStamp gives each superblock another UUID and lets the mold's stay in
// metadata_uuid, which is what all trees are compared with. The UUID of the
// device stands in the superblocks and in the chunk tree, which is one block
// in a fresh filesystem.
func newBtrfsStamp(size int64, image io.ReaderAt) (Stamp, error) {
	sb, err := readWithin(image, size, btrfsSupers[0], btrfsLength)
	if err != nil {
		return nil, err
	}
	if err := checkBtrfsSuper(sb, size); err != nil {
		return nil, err
	}
	chunks, err := readBtrfsArray(sb)
	if err != nil {
		return nil, err
	}
	all, err := btrfsSuperRegions(sb, chunks.devices, size, image)
	if err != nil {
		return nil, err
	}
	tree, err := btrfsChunkTree(sb, chunks.copies, size, image)
	if err != nil {
		return nil, err
	}
	return newRegions(append(all, tree...)...)
}

// btrfsMetadataUUID is the UUID that all trees of sb have.
func btrfsMetadataUUID(sb []byte) []byte {
	if binary.LittleEndian.Uint64(sb[btrfsIncompat:])&btrfsMetaUUIDBit != 0 {
		return sb[btrfsMetaUUID:][:16]
	}
	return sb[btrfsUUID:][:16]
}

// btrfsSuperRegions wants all copies to be the same as the first but for their
// addresses. devices are where the array of chunks has the device's UUID.
func btrfsSuperRegions(first []byte, devices []int, size int64, image io.ReaderAt) ([]region, error) {
	order := binary.LittleEndian
	template := slices.Clone(first)
	copy(template[btrfsMetaUUID:], btrfsMetadataUUID(first))
	order.PutUint64(template[btrfsIncompat:], order.Uint64(first[btrfsIncompat:])|btrfsMetaUUIDBit)
	devices = append(devices, btrfsDeviceUUID)
	var all []region
	for _, off := range btrfsSupers {
		if off+btrfsLength > int64(order.Uint64(first[btrfsTotal:])) {
			break
		}
		sb, err := readWithin(image, size, off, btrfsLength)
		if err != nil {
			return nil, err
		}
		want := slices.Clone(first)
		order.PutUint64(want[btrfsAddress:], uint64(off))
		setBtrfsSum(want)
		if !bytes.Equal(sb, want) {
			return nil, unsure("wrong superblock at %d", off)
		}
		data := slices.Clone(template)
		order.PutUint64(data[btrfsAddress:], uint64(off))
		all = append(all, region{
			off: off, data: data,
			uuids: []int{btrfsUUID}, devices: devices, sum: setBtrfsSum,
		})
	}
	return all, nil
}

func checkBtrfsSuper(sb []byte, size int64) error {
	order := binary.LittleEndian
	if string(sb[btrfsMagic:][:8]) != "_BHRfS_M" {
		return unsure("no superblock")
	}
	compat, ro := order.Uint64(sb[btrfsCompat:]), order.Uint64(sb[btrfsROCompat:])
	incompat, flags := order.Uint64(sb[btrfsIncompat:]), order.Uint64(sb[btrfsFlags:])
	if compat != 0 || ro&^btrfsKnownROCompat != 0 || incompat&^btrfsKnownIncompat != 0 || flags != btrfsWritten {
		return unsure("features %#x, ro %#x, incompat %#x, flags %#x", compat, ro, incompat, flags)
	}
	if t := order.Uint16(sb[btrfsSumType:]); t != 0 {
		return unsure("checksums of type %d", t)
	}
	if !bytes.Equal(sb[btrfsDeviceFSID:][:16], btrfsMetadataUUID(sb)) {
		return unsure("the device is of another filesystem")
	}
	if order.Uint64(sb[btrfsDevices:]) != 1 || order.Uint64(sb[btrfsDeviceID:]) != 1 {
		return unsure("more than one device")
	}
	if order.Uint64(sb[btrfsLogRoot:]) != 0 || sb[btrfsChunkLevel] != 0 {
		return unsure("not fresh")
	}
	node := order.Uint32(sb[btrfsNodeSize:])
	if node < 4<<10 || node > 64<<10 || node&(node-1) != 0 {
		return unsure("nodes of %d bytes", node)
	}
	total := order.Uint64(sb[btrfsTotal:])
	if total > uint64(size) || total < uint64(btrfsSupers[0])+btrfsLength {
		return unsure("%d bytes", total)
	}
	return nil
}

// setBtrfsSum sets the checksum of a superblock or of a tree's block.
func setBtrfsSum(block []byte) {
	clear(block[btrfsSum:btrfsSumEnd])
	binary.LittleEndian.PutUint32(block[btrfsSum:], crc32.Checksum(block[btrfsSumEnd:], castagnoli))
}
