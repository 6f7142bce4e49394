// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package xfs

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/ondisk"
)

// Offsets in the superblock, which is big-endian, as all of XFS but checksums.
const (
	atBlockSize  = 4
	atBlocks     = 8
	atUUID       = 32
	atLogStart   = 48
	atRoot       = 56 // three inode numbers, which not all superblocks have
	atRootEnd    = 80
	atAGBlocks   = 84
	atAGCount    = 88
	atLogBlocks  = 96
	atVersion    = 100 // two bytes
	atSectorSize = 102
	atBlockShift = 120
	atAGShift    = 124
	atBusy       = 126 // mkfs has not come to its end
	atFeatures2  = 200
	atIncompat   = 216
	atSum        = 224
	atMetaUUID   = 248
	superLength  = 264 // and more in later versions
)

// sums are a feature: checksums, and a UUID in the header of each block. Without it the
// UUID is in the superblocks and in the log only.
const sums = 0x100

// metaUUIDBit is the feature that the UUID of the metadata is another.
const metaUUIDBit = 0x04

// maxGroups is far beyond what fits in a mold.
const maxGroups = 1 << 12

// Find finds each group's superblock. They get another UUID, and the mold's
// stays in sb_meta_uuid, which is what all other metadata is compared with: no
// more is to be rewritten. The log alone carries the UUID that can be seen, and
// the kernel refuses a log with another.
func Find(image ondisk.Image) []ondisk.Region {
	first := image.Bytes(0, superLength)
	checkFeatures(first)
	g := readGeometry(first, image.Size)
	fields := []ondisk.Field{{Offsets: []int{atUUID}, Of: ondisk.UUID}}
	var sum func([]byte)
	if hasSums(first) {
		fields, sum = append(fields, metaUUIDFields(first)...), setSum
	}
	var regions []ondisk.Region
	for group := range int64(g.groups) {
		off := group * g.groupSize
		super := image.Bytes(off, g.sectorSize)
		checkSuper(super, first)
		regions = append(regions, ondisk.Region{Offsets: []int64{off}, Data: super, Fields: fields, Sum: sum})
	}
	return append(regions, findLog(g, image, first[atUUID:][:16]))
}

func hasSums(super []byte) bool { return binary.BigEndian.Uint32(super[atFeatures2:])&sums != 0 }

// metaUUIDFields keep the metadata's UUID.
func metaUUIDFields(super []byte) []ondisk.Field {
	features := binary.BigEndian.Uint32(super[atIncompat:])
	metaUUID := super[atMetaUUID:][:16]
	if features&metaUUIDBit == 0 {
		metaUUID = super[atUUID:][:16]
	}
	return []ondisk.Field{
		{Offsets: []int{atIncompat}, Of: ondisk.Always(binary.BigEndian.AppendUint32(nil, features|metaUUIDBit))},
		{Offsets: []int{atMetaUUID}, Of: ondisk.Always(metaUUID)},
	}
}

// checkSuper compares what all groups' superblocks have in common, which is all
// but the counters and what else only the first one keeps up to date: that there are
// attributes too, if mkfs has given the root directory one.
func checkSuper(super, first []byte) {
	const low, attributes = atVersion + 1, 0x10
	same := super[low]|attributes == first[low]|attributes
	for _, part := range [][2]int{{0, atRoot}, {atRootEnd, low}, {low + 1, atBusy}, {atFeatures2, atSum}, {atMetaUUID, superLength}} {
		same = same && bytes.Equal(super[part[0]:part[1]], first[part[0]:part[1]])
	}
	ondisk.Want(same, "superblocks differ")
}

func setSum(sector []byte) {
	clear(sector[atSum : atSum+4])
	binary.LittleEndian.PutUint32(sector[atSum:], crc32.Checksum(sector, ondisk.Castagnoli))
}

// geometry is in bytes.
type geometry struct {
	sectorSize          int
	groups              int
	groupSize           int64
	logStart, logLength int64
}

func readGeometry(super []byte, size int64) (g geometry) {
	order := binary.BigEndian
	shift, blockSize := super[atBlockShift], int64(order.Uint32(super[atBlockSize:]))
	g.sectorSize = int(order.Uint16(super[atSectorSize:]))
	ondisk.Want(shift >= 9 && shift <= 16 && blockSize == 1<<shift &&
		g.sectorSize >= 512 && g.sectorSize&(g.sectorSize-1) == 0 && int64(g.sectorSize) <= blockSize,
		"blocks of %d bytes, sectors of %d bytes", blockSize, g.sectorSize)
	blocks := order.Uint64(super[atBlocks:])
	groupBlocks := uint64(order.Uint32(super[atAGBlocks:]))
	groups := uint64(order.Uint32(super[atAGCount:]))
	ondisk.Want(groups >= 1 && groups <= maxGroups && blocks <= uint64(size>>shift) &&
		blocks > (groups-1)*groupBlocks && blocks <= groups*groupBlocks,
		"%d blocks in %d groups of %d", blocks, groups, groupBlocks)
	g.groups, g.groupSize = int(groups), int64(groupBlocks)<<shift

	groupShift := super[atAGShift]
	logStart, logBlocks := order.Uint64(super[atLogStart:]), uint64(order.Uint32(super[atLogBlocks:]))
	ondisk.Want(groupShift <= 32 && logStart != 0 && logStart>>groupShift < groups, "log at %#x", logStart)
	inGroup := logStart & (1<<groupShift - 1)
	ondisk.Want(inGroup+logBlocks <= groupBlocks, "log of %d blocks at %#x", logBlocks, logStart)
	g.logStart = int64(logStart>>groupShift)*g.groupSize + int64(inGroup)<<shift
	g.logLength = int64(logBlocks) << shift
	return g
}

// checkFeatures knows features none of which puts a UUID anywhere but in the
// header of a block, where it is that of the metadata.
func checkFeatures(super []byte) {
	c := ondisk.Check{Data: super, Order: binary.BigEndian}
	c.Is("magic number", 0, 4, 0x58465342, 0) // XFSB
	// Link counts, attributes, alignment, stripes, log version 2, sector size,
	// unwritten extents, directories version 2, names without case, more bits.
	const also = 0xfdb0
	// Lazy counters, attributes version 2, 32-bit project ids.
	const also2 = 0x8a
	if hasSums(super) {
		c.Is("version", atVersion, 2, 5, also)
		c.Is("features2", atFeatures2, 4, sums, also2)
	} else {
		c.Is("version", atVersion, 2, 4, also)
		c.Is("features2", atFeatures2, 4, 0, also2|0x200) // file types
	}
	c.Is("compat", 208, 4, 0, 0)
	// Free inodes, reverse mapping, reflinks, inode counts.
	c.Is("ro compat", 212, 4, 0, 0x0f)
	// File types, sparse inodes, metadata UUID, big timestamps, large extent
	// counters, exchange of ranges, parent pointers.
	c.Is("incompat", atIncompat, 4, 0, 0xef)
	c.Is("log incompat", 220, 4, 0, 0)
	c.Is("blocks of a realtime device", 16, 8, 0, 0)
	c.Is("mkfs has not ended:", atBusy, 1, 0, 0)
}
