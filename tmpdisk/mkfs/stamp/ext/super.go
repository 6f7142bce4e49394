// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package ext

import (
	"encoding/binary"
	"hash/crc32"
	"slices"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/ondisk"
)

// Offsets in the superblock, which is little-endian, as all of ext2, ext3 and
// ext4 but the journal.
const (
	atInodes        = 0x00
	atBlocks        = 0x04
	atFreeInodes    = 0x10
	atFirstBlock    = 0x14 // where group 0 begins
	atBlockSize     = 0x18 // 1 KiB shifted by this
	atGroupBlocks   = 0x20 // blocks in a group
	atState         = 0x3a
	atFirstInode    = 0x54
	atGroup         = 0x5a // the group that this copy stands in
	atCompat        = 0x5c
	atIncompat      = 0x60
	atROCompat      = 0x64
	atUUID          = 0x68
	atHashSeed      = 0xec
	atSalt          = 0x258 // of passwords for encryption
	atJournalBlocks = 0x10c // the journal's block map
	atBlocksHigh    = 0x150
	atBackups       = 0x24c // the groups of two copies, with sparse_super2
	atProjectQuota  = 0x26c // its inode
	atChecksum      = 0x3fc
	superLength     = 1024 // also where the first one is
)

// Find finds every superblock, and the journal's UUID.
func Find(image ondisk.Image) []ondisk.Region {
	super := image.Bytes(superLength, superLength)
	checkSuper(super)
	l := newLayout(super, image)
	fields := []ondisk.Field{{Offsets: []int{atUUID}, Of: ondisk.UUID}, {Offsets: []int{atHashSeed}, Of: ondisk.SecondUUID}}
	var sum func([]byte)
	if has(super, atROCompat, metadataCsum) {
		sum = setSum
	}
	regions := []ondisk.Region{{Offsets: []int64{superLength}, Data: super, Fields: fields, Sum: sum}}
	for _, group := range l.backups() {
		// Like the first, but it says where it is, and that it is not clean.
		data := slices.Clone(super)
		binary.LittleEndian.PutUint16(data[atState:], 0)
		binary.LittleEndian.PutUint16(data[atGroup:], uint16(min(group, 1<<16-1)))
		if sum != nil {
			sum(data)
		}
		regions = append(regions, ondisk.Region{Offsets: []int64{l.groupOffset(group)}, Data: data, Fields: fields, Sum: sum})
	}
	if has(super, atCompat, hasJournal) {
		regions = append(regions, l.journal(super)...)
	}
	return regions
}

// Features that matter here. Of the others it is enough that they are known not
// to depend on the UUID.
const (
	hasJournal   = 0x4    // compatible
	sparseSuper2 = 0x200  // compatible
	orphanFile   = 0x1000 // compatible
	extents      = 0x40   // incompatible
	is64Bit      = 0x80   // incompatible
	csumSeed     = 0x2000 // incompatible
	sparseSuper  = 0x1    // read-only compatible
	bigalloc     = 0x200  // read-only compatible
	metadataCsum = 0x400  // read-only compatible
)

// has reports whether the set of features at offset set has feature.
func has(super []byte, set int, feature uint32) bool {
	return binary.LittleEndian.Uint32(super[set:])&feature != 0
}

// checkSuper wants a clean filesystem without files of any user: a hashed
// directory would depend on the hash seed, and an encrypted file on the UUID. It also
// wants the checksums of all other metadata to begin with a seed of their own, not with
// the UUID.
//
// What is missing in the features is so for a reason: gdt_csum (also uninit_bg)
// keeps something that depends on the UUID all over the disk, and a journal may be
// on another disk.
func checkSuper(super []byte) {
	c := ondisk.Check{Data: super, Order: binary.LittleEndian}
	c.Is("magic number", 0x38, 2, 0xef53, 0)
	c.Is("state", atState, 2, 1, 0)
	c.Is("revision", 0x4c, 4, 1, 0)
	c.Is("first orphan", 0xe8, 4, 0, 0)
	// dir_prealloc, has_journal, ext_attr, resize_inode, dir_index, sparse_super2,
	// fast_commit, stable_inodes, orphan_file
	c.Is("compatible features", atCompat, 4, 0, 0x1|hasJournal|0x8|0x10|0x20|sparseSuper2|0x400|0x800|orphanFile)
	// filetype, meta_bg, extents, 64bit, mmp, flex_bg, ea_inode, metadata_csum_seed,
	// large_dir, inline_data, encrypt, casefold
	c.Is("incompatible features", atIncompat, 4, 0,
		0x2|0x10|extents|is64Bit|0x100|0x200|0x400|csumSeed|0x4000|0x8000|0x10000|0x20000)
	// sparse_super, large_file, huge_file, dir_nlink, extra_isize, quota, bigalloc,
	// metadata_csum, project, verity
	c.Is("read-only compatible features", atROCompat, 4, 0,
		sparseSuper|0x2|0x8|0x20|0x40|0x100|bigalloc|metadataCsum|0x2000|0x8000)
	ondisk.Want(ondisk.IsZero(super[atSalt:][:16]), "a salt for passwords")
	sums := has(super, atROCompat, metadataCsum)
	if sums {
		c.Is("type of checksums", 0x175, 1, 1, 0)
	}
	ondisk.Want(sums == has(super, atIncompat, csumSeed), "metadata_csum without metadata_csum_seed")
	// Besides the reserved inodes there are lost+found, the orphan file, and the one for
	// quotas of projects; those for users and groups are reserved.
	fresh := c.Order.Uint32(super[atFirstInode:])
	if has(super, atCompat, orphanFile) {
		fresh++
	}
	if c.Order.Uint32(super[atProjectQuota:]) != 0 {
		fresh++
	}
	used := c.Order.Uint32(super[atInodes:]) - c.Order.Uint32(super[atFreeInodes:])
	ondisk.Want(used == fresh, "%d inodes in use, %d if it were fresh", used, fresh)
}

// setSum makes a CRC-32C without the last inversion.
func setSum(super []byte) {
	binary.LittleEndian.PutUint32(super[atChecksum:], ^crc32.Checksum(super[:atChecksum], ondisk.Castagnoli))
}
