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

// metaUUIDBit is the feature that the UUID of the metadata is another.
const metaUUIDBit = 0x04

// maxGroups is far beyond what fits in a mold.
const maxGroups = 1 << 12

// Find finds each group's superblock. They get another UUID, and the mold's
// stays in sb_meta_uuid, which is what all other metadata is compared with: no
// more is to be rewritten. The log alone carries the UUID that can be seen, and
// the kernel refuses a log with another.
func Find(image ondisk.Image) ([]ondisk.Region, error) {
	first, err := image.Bytes(0, superLength)
	if err != nil {
		return nil, err
	}
	g, err := readGeometry(first, image.Size)
	if err != nil {
		return nil, err
	}
	fields := superFields(first)
	var regions []ondisk.Region
	for group := range int64(g.groups) {
		off := group * g.groupSize
		super, err := image.Bytes(off, g.sectorSize)
		if err != nil {
			return nil, err
		}
		if err := checkSuper(super, first); err != nil {
			return nil, err
		}
		regions = append(regions, ondisk.Region{Offsets: []int64{off}, Data: super, Fields: fields, Sum: setSum})
	}
	log, err := findLog(g, image, first[atUUID:][:16])
	return append(regions, log), err
}

func superFields(super []byte) []ondisk.Field {
	features := binary.BigEndian.Uint32(super[atIncompat:])
	metaUUID := super[atMetaUUID:][:16]
	if features&metaUUIDBit == 0 {
		metaUUID = super[atUUID:][:16]
	}
	return []ondisk.Field{
		{Offsets: []int{atUUID}, Of: ondisk.UUID},
		{Offsets: []int{atIncompat}, Of: ondisk.Always(binary.BigEndian.AppendUint32(nil, features|metaUUIDBit))},
		{Offsets: []int{atMetaUUID}, Of: ondisk.Always(metaUUID)},
	}
}

// checkSuper compares what all groups' superblocks have in common, which is all
// but the counters and what else only the first one keeps up to date.
func checkSuper(super, first []byte) error {
	for _, part := range [][2]int{{0, atRoot}, {atRootEnd, atBusy}, {atFeatures2, atSum}, {atMetaUUID, superLength}} {
		if !bytes.Equal(super[part[0]:part[1]], first[part[0]:part[1]]) {
			return ondisk.NotUnderstood("superblocks differ")
		}
	}
	return nil
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

func readGeometry(super []byte, size int64) (geometry, error) {
	var g geometry
	if err := checkFeatures(super); err != nil {
		return g, err
	}
	order := binary.BigEndian
	shift, blockSize := super[atBlockShift], int64(order.Uint32(super[atBlockSize:]))
	g.sectorSize = int(order.Uint16(super[atSectorSize:]))
	if shift < 9 || shift > 16 || blockSize != 1<<shift ||
		g.sectorSize < 512 || g.sectorSize&(g.sectorSize-1) != 0 || int64(g.sectorSize) > blockSize {
		return g, ondisk.NotUnderstood("blocks of %d bytes, sectors of %d bytes", blockSize, g.sectorSize)
	}
	blocks := order.Uint64(super[atBlocks:])
	groupBlocks := uint64(order.Uint32(super[atAGBlocks:]))
	groups := uint64(order.Uint32(super[atAGCount:]))
	if groups < 1 || groups > maxGroups || blocks > uint64(size>>shift) ||
		blocks <= (groups-1)*groupBlocks || blocks > groups*groupBlocks {
		return g, ondisk.NotUnderstood("%d blocks in %d groups of %d", blocks, groups, groupBlocks)
	}
	g.groups, g.groupSize = int(groups), int64(groupBlocks)<<shift

	groupShift := super[atAGShift]
	logStart, logBlocks := order.Uint64(super[atLogStart:]), uint64(order.Uint32(super[atLogBlocks:]))
	if groupShift > 32 || logStart == 0 || logStart>>groupShift >= groups {
		return g, ondisk.NotUnderstood("log at %#x", logStart)
	}
	inGroup := logStart & (1<<groupShift - 1)
	if inGroup+logBlocks > groupBlocks {
		return g, ondisk.NotUnderstood("log of %d blocks at %#x", logBlocks, logStart)
	}
	g.logStart = int64(logStart>>groupShift)*g.groupSize + int64(inGroup)<<shift
	g.logLength = int64(logBlocks) << shift
	return g, nil
}

// checkFeatures knows features none of which puts a UUID anywhere but in the
// header of a block, where it is that of the metadata.
func checkFeatures(super []byte) error {
	c := ondisk.Check{Data: super, Order: binary.BigEndian}
	c.Is("magic number", 0, 4, 0x58465342, 0) // XFSB
	// Link counts, attributes, alignment, stripes, log version 2, sector size,
	// unwritten extents, directories version 2, more bits.
	c.Is("version", 100, 2, 5, 0xbdb0)
	// Checksums; lazy counters, attributes version 2, 32-bit project ids.
	c.Is("features2", atFeatures2, 4, 0x100, 0x8a)
	c.Is("compat", 208, 4, 0, 0)
	// Free inodes, reverse mapping, reflinks, inode counts.
	c.Is("ro compat", 212, 4, 0, 0x0f)
	// File types, sparse inodes, metadata UUID, big timestamps, large extent
	// counters, exchange of ranges, parent pointers.
	c.Is("incompat", atIncompat, 4, 0, 0xef)
	c.Is("log incompat", 220, 4, 0, 0)
	c.Is("blocks of a realtime device", 16, 8, 0, 0)
	c.Is("mkfs has not ended:", atBusy, 1, 0, 0)
	return c.Err
}
