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

// Offsets in the superblock, which is big-endian, as all of XFS but checksums.
const (
	xfsMagic       = 0
	xfsBlockSize   = 4
	xfsBlocks      = 8
	xfsRTBlocks    = 16 // blocks of a realtime device
	xfsUUID        = 32
	xfsLogStart    = 48
	xfsRoot        = 56 // three inode numbers, which not all superblocks have
	xfsRootEnd     = 80
	xfsAGBlocks    = 84
	xfsAGCount     = 88
	xfsLogBlocks   = 96
	xfsVersion     = 100
	xfsSectorSize  = 102
	xfsBlockShift  = 120
	xfsAGShift     = 124
	xfsBusy        = 126 // mkfs has not come to its end
	xfsFeatures2   = 200
	xfsCompat      = 208
	xfsROCompat    = 212
	xfsIncompat    = 216
	xfsLogIncompat = 220
	xfsSum         = 224
	xfsMetaUUID    = 248
	xfsSuperLength = 264 // and more in later versions
)

// The features that stamping knows. None of them puts a UUID anywhere but in
// the header of a block, where it is that of the metadata.
const (
	// version 5, link counts, attributes, alignment,
	// stripes, log version 2, sector size, unwritten extents, directories
	// version 2, more bits
	xfsKnownVersion   = 0xbdb5
	xfsFeatureCRC     = 0x100
	xfsKnownFeatures2 = 0x18a // lazy counters, attributes version 2, 32-bit project ids, checksums
	xfsKnownROCompat  = 0x0f  // free inodes, reverse mapping, reflinks, inode counts
	xfsMetaUUIDBit    = 0x04
	// file types, sparse inodes, metadata UUID, big timestamps, large extent
	// counters, exchange of ranges, parent pointers
	xfsKnownIncompat = 0xef
)

// xfsMaxGroups is far beyond what fits in a mold.
const xfsMaxGroups = 1 << 12

// newXFSStamp gives each superblock another UUID and lets the mold's stay in
// sb_meta_uuid, which is what all other metadata is compared with: no more is
// to be rewritten. The log alone carries the UUID that can be seen, and the
// kernel refuses a log with another.
func newXFSStamp(size int64, image io.ReaderAt) (Stamp, error) {
	first, err := readWithin(image, size, 0, xfsSuperLength)
	if err != nil {
		return nil, err
	}
	g, err := readXFSGeometry(first, size)
	if err != nil {
		return nil, err
	}
	var all []region
	for off := range g.superblocks() {
		sb, err := readWithin(image, size, off, g.sectorSize)
		if err != nil {
			return nil, err
		}
		if err := checkXFSSuper(sb, first); err != nil {
			return nil, err
		}
		all = append(all, xfsSuperRegion(off, sb))
	}
	log, err := xfsLogRegion(g, image, size, first[xfsUUID:][:16])
	if err != nil {
		return nil, err
	}
	return newRegions(append(all, log)...)
}

func xfsSuperRegion(off int64, sb []byte) region {
	order := binary.BigEndian
	if order.Uint32(sb[xfsIncompat:])&xfsMetaUUIDBit == 0 {
		copy(sb[xfsMetaUUID:], sb[xfsUUID:][:16])
		order.PutUint32(sb[xfsIncompat:], order.Uint32(sb[xfsIncompat:])|xfsMetaUUIDBit)
	}
	return region{off: off, data: sb, uuids: []int{xfsUUID}, sum: setXFSSum}
}

// checkXFSSuper compares what all groups' superblocks have in common, which is
// all but the counters and what else only the first one keeps up to date.
func checkXFSSuper(sb, first []byte) error {
	same := func(from, to int) bool { return bytes.Equal(sb[from:to], first[from:to]) }
	if !same(0, xfsRoot) || !same(xfsRootEnd, xfsBusy) || !same(xfsFeatures2, xfsSum) || !same(xfsMetaUUID, xfsSuperLength) {
		return unsure("superblocks differ")
	}
	stamped := slices.Clone(sb)
	setXFSSum(stamped)
	if !bytes.Equal(stamped, sb) {
		return unsure("wrong checksum of a superblock")
	}
	return nil
}

func setXFSSum(sector []byte) {
	binary.LittleEndian.PutUint32(sector[xfsSum:], 0)
	binary.LittleEndian.PutUint32(sector[xfsSum:], crc32.Checksum(sector, castagnoli))
}

// xfsGeometry is in bytes.
type xfsGeometry struct {
	sectorSize          int
	groups              int
	groupSize           int64
	logStart, logLength int64
}

func (g xfsGeometry) superblocks() func(yield func(off int64) bool) {
	return func(yield func(int64) bool) {
		for i := range int64(g.groups) {
			if !yield(i * g.groupSize) {
				return
			}
		}
	}
}

func readXFSGeometry(sb []byte, size int64) (xfsGeometry, error) {
	var g xfsGeometry
	if err := checkXFSFeatures(sb); err != nil {
		return g, err
	}
	order := binary.BigEndian
	shift, blockSize := sb[xfsBlockShift], int64(order.Uint32(sb[xfsBlockSize:]))
	g.sectorSize = int(order.Uint16(sb[xfsSectorSize:]))
	if shift < 9 || shift > 16 || blockSize != 1<<shift ||
		g.sectorSize < 512 || g.sectorSize&(g.sectorSize-1) != 0 || int64(g.sectorSize) > blockSize {
		return g, unsure("blocks of %d bytes, sectors of %d bytes", blockSize, g.sectorSize)
	}
	blocks := order.Uint64(sb[xfsBlocks:])
	groupBlocks := uint64(order.Uint32(sb[xfsAGBlocks:]))
	groups := uint64(order.Uint32(sb[xfsAGCount:]))
	if groups < 1 || groups > xfsMaxGroups || blocks > uint64(size>>shift) ||
		blocks <= (groups-1)*groupBlocks || blocks > groups*groupBlocks {
		return g, unsure("%d blocks in %d groups of %d", blocks, groups, groupBlocks)
	}
	g.groups, g.groupSize = int(groups), int64(groupBlocks)<<shift

	groupShift := sb[xfsAGShift]
	logStart, logBlocks := order.Uint64(sb[xfsLogStart:]), uint64(order.Uint32(sb[xfsLogBlocks:]))
	if groupShift > 32 || logStart == 0 || logStart>>groupShift >= groups {
		return g, unsure("log at %#x", logStart)
	}
	inGroup := logStart & (1<<groupShift - 1)
	if inGroup+logBlocks > groupBlocks {
		return g, unsure("log of %d blocks at %#x", logBlocks, logStart)
	}
	g.logStart = int64(logStart>>groupShift)*g.groupSize + int64(inGroup)<<shift
	g.logLength = int64(logBlocks) << shift
	return g, nil
}

func checkXFSFeatures(sb []byte) error {
	order := binary.BigEndian
	if string(sb[xfsMagic:][:4]) != "XFSB" {
		return unsure("no superblock")
	}
	version, features2 := order.Uint16(sb[xfsVersion:]), order.Uint32(sb[xfsFeatures2:])
	if version&0xf != 5 || version&^xfsKnownVersion != 0 || features2&^xfsKnownFeatures2 != 0 || features2&xfsFeatureCRC == 0 {
		return unsure("version %#x, features2 %#x", version, features2)
	}
	compat, ro := order.Uint32(sb[xfsCompat:]), order.Uint32(sb[xfsROCompat:])
	incompat, log := order.Uint32(sb[xfsIncompat:]), order.Uint32(sb[xfsLogIncompat:])
	if compat != 0 || ro&^xfsKnownROCompat != 0 || incompat&^xfsKnownIncompat != 0 || log != 0 {
		return unsure("features %#x, ro %#x, incompat %#x, log %#x", compat, ro, incompat, log)
	}
	if order.Uint64(sb[xfsRTBlocks:]) != 0 {
		return unsure("realtime section")
	}
	if sb[xfsBusy] != 0 {
		return unsure("mkfs has not ended")
	}
	return nil
}
