// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"encoding/binary"
	"hash/crc32"
)

// Features that matter here. Of the others it is enough that they are known
// not to depend on the UUID.
const (
	extHasJournal = 0x4    // compat
	extOrphanFile = 0x1000 // compat

	extExtents  = 0x40   // incompat
	ext64Bit    = 0x80   // incompat
	extCsumSeed = 0x2000 // incompat

	extSparseSuper  = 0x1   // read-only compat
	extMetadataCsum = 0x400 // read-only compat
)

// What is missing here is missing for a reason: gdt_csum (also uninit_bg) and
// multiple mount protection keep something that depends on the UUID all over
// the disk, stable_inodes forbids to change it, sparse_super2 and bigalloc have
// other places for the superblocks, and a journal may be on another disk.
var extUnderstood = []struct {
	set    int // offset in the superblock
	name   string
	allows uint32
}{
	// dir_prealloc, has_journal, ext_attr, resize_inode, dir_index, orphan_file
	{extCompat, "compatible", 0x1 | extHasJournal | 0x8 | 0x10 | 0x20 | extOrphanFile},
	// filetype, meta_bg, extents, 64bit, flex_bg, metadata_csum_seed, large_dir
	{extIncompat, "incompatible", 0x2 | 0x10 | extExtents | ext64Bit | 0x200 | extCsumSeed | 0x4000},
	// sparse_super, large_file, huge_file, dir_nlink, extra_isize, metadata_csum
	{extROCompat, "read-only compatible", extSparseSuper | 0x2 | 0x8 | 0x20 | 0x40 | extMetadataCsum},
}

// checkExtFeatures also wants the checksums of all other metadata to begin
// with a seed of their own, not with the UUID.
func checkExtFeatures(super []byte) error {
	for _, f := range extUnderstood {
		if unknown := binary.LittleEndian.Uint32(super[f.set:]) &^ f.allows; unknown != 0 {
			return unsure("%s features %#x", f.name, unknown)
		}
	}
	if extHas(super, extROCompat, extMetadataCsum) != extHas(super, extIncompat, extCsumSeed) {
		return unsure("metadata_csum without metadata_csum_seed")
	}
	return nil
}

// extHas reports whether the set of features at offset set has feature.
func extHas(super []byte, set int, feature uint32) bool {
	return binary.LittleEndian.Uint32(super[set:])&feature != 0
}

var extTable = crc32.MakeTable(crc32.Castagnoli)

// extSum is the checksum of a superblock: CRC-32C without the last inversion.
func extSum(super []byte) uint32 { return ^crc32.Checksum(super[:extChecksum], extTable) }
