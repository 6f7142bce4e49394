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

// Offsets in the superblock, which is little-endian, as all of F2FS.
const (
	f2fsStart      = 1024 // of the superblock in its block
	f2fsMagic      = 0
	f2fsMajor      = 4
	f2fsBlockShift = 16
	f2fsSumAt      = 32 // where the checksum stands, 0 for none
	f2fsBlocks     = 36
	f2fsUUID       = 108
	f2fsFeatures   = 2180
	f2fsDevices    = 2201
	f2fsDevicesEnd = 2745
	f2fsSum        = 3068
	f2fsLength     = 3072
)

const (
	f2fsMagicNumber = 0xf2f52010
	f2fsFeatureSum  = 0x800
	// f2fsKnown is encryption, extra attributes, project quotas, flexible
	// inline attributes, quota inodes, creation times, lost+found, verity,
	// superblock checksum, case folding and compression. Not in it is
	// 0x20, with which every inode's checksum depends on the UUID.
	f2fsKnown = 0x3fd9
)

// newF2FSStamp finds the two superblocks. Nothing else depends on the UUID:
// checkpoints' checksums begin with the magic number.
func newF2FSStamp(size int64, image io.ReaderAt) (Stamp, error) {
	const block = 4096
	sb, err := readWithin(image, size, f2fsStart, f2fsLength)
	if err != nil {
		return nil, err
	}
	second, err := readWithin(image, size, block+f2fsStart, f2fsLength)
	if err != nil {
		return nil, err
	}
	order := binary.LittleEndian
	if order.Uint32(sb[f2fsMagic:]) != f2fsMagicNumber || order.Uint16(sb[f2fsMajor:]) != 1 {
		return nil, unsure("no superblock of version 1")
	}
	if !bytes.Equal(sb, second) {
		return nil, unsure("superblocks differ")
	}
	shift, blocks := order.Uint32(sb[f2fsBlockShift:]), order.Uint64(sb[f2fsBlocks:])
	if shift != 12 || blocks > uint64(size/block) {
		return nil, unsure("%d blocks of 2^%d bytes", blocks, shift)
	}
	if !isZero(sb[f2fsDevices:f2fsDevicesEnd]) {
		return nil, unsure("more than one device")
	}
	features := order.Uint32(sb[f2fsFeatures:])
	if features&^f2fsKnown != 0 {
		return nil, unsure("features %#x", features)
	}
	var sum func([]byte)
	if features&f2fsFeatureSum != 0 {
		sum = setF2FSSum
		right := slices.Clone(sb)
		setF2FSSum(right)
		if order.Uint32(sb[f2fsSumAt:]) != f2fsSum || !bytes.Equal(right, sb) {
			return nil, unsure("wrong checksum of the superblock")
		}
	} else if order.Uint32(sb[f2fsSumAt:]) != 0 {
		return nil, unsure("a checksum of the superblock without the feature")
	}
	uuids := []int{f2fsUUID}
	return newRegions(
		region{off: f2fsStart, data: sb, uuids: uuids, sum: sum},
		region{off: block + f2fsStart, data: sb, uuids: uuids, sum: sum},
	)
}

// setF2FSSum makes a CRC that begins with the magic number, and is not
// inverted in the end.
func setF2FSSum(sb []byte) {
	magic := uint32(f2fsMagicNumber)
	sum := ^crc32.Update(^magic, crc32.IEEETable, sb[:f2fsSum])
	binary.LittleEndian.PutUint32(sb[f2fsSum:], sum)
}
