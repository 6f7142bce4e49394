// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package stamp

import (
	"encoding/binary"
	"hash/crc32"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/ondisk"
)

// Offsets in the superblock, which is little-endian, as all of F2FS.
const (
	f2fsBlocks     = 36
	f2fsUUID       = 108
	f2fsFeatures   = 2180
	f2fsDevices    = 2201
	f2fsDevicesEnd = 2745
	f2fsSum        = 3068
	f2fsLength     = 3072
)

const (
	f2fsMagic      = 0xf2f52010
	f2fsFeatureSum = 0x800
	// f2fsKnown is encryption, extra attributes, project quotas, flexible
	// inline attributes, quota inodes, creation times, lost+found, verity,
	// superblock checksum, case folding and compression. Not in it is
	// 0x20, with which every inode's checksum depends on the UUID.
	f2fsKnown = 0x3fd9
)

// findF2FS finds the two superblocks. Nothing else depends on the UUID:
// checkpoints' checksums begin with the magic number.
func findF2FS(image ondisk.Image) []ondisk.Region {
	const block, start = 4096, 1024 // start of the superblock in its block
	super := image.Bytes(start, f2fsLength)
	c := ondisk.Check{Data: super, Order: binary.LittleEndian}
	c.Is("magic number", 0, 4, f2fsMagic, 0)
	c.Is("version", 4, 2, 1, 0)
	c.Is("block size 1 <<", 16, 4, 12, 0)
	c.Is("features", f2fsFeatures, 4, 0, f2fsKnown)
	var sum func([]byte)
	sumAt := uint64(0)
	if c.Order.Uint32(super[f2fsFeatures:])&f2fsFeatureSum != 0 {
		sum, sumAt = setF2FSSum, f2fsSum
	}
	c.Is("offset of the checksum", 32, 4, sumAt, 0)
	blocks := c.Order.Uint64(super[f2fsBlocks:])
	ondisk.Want(blocks <= uint64(image.Size/block), "%d blocks", blocks)
	ondisk.Want(ondisk.IsZero(super[f2fsDevices:f2fsDevicesEnd]), "more than one device")
	return []ondisk.Region{{
		Offsets: []int64{start, block + start},
		Data:    super,
		Fields:  []ondisk.Field{{Offsets: []int{f2fsUUID}, Of: ondisk.UUID}},
		Sum:     sum,
	}}
}

// setF2FSSum makes a CRC that begins with the magic number, and is not
// inverted in the end.
func setF2FSSum(super []byte) {
	magic := uint32(f2fsMagic)
	sum := ^crc32.Update(^magic, crc32.IEEETable, super[:f2fsSum])
	binary.LittleEndian.PutUint32(super[f2fsSum:], sum)
}
