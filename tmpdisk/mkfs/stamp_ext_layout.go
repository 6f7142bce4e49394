// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
)

// An extLayout knows where the copies of the superblock and the journal are.
type extLayout struct {
	size      int64
	blockSize int64
	blocks    uint64
	first     uint64 // block where group 0 begins
	perGroup  uint64
	sparse    bool // not every group has a copy
}

// extMostBackups bounds what is read. With sparse_super it is never reached;
// without, that is 128 GiB in blocks of 4 KiB.
const extMostBackups = 1024

func newExtLayout(super []byte, size int64) (*extLayout, error) {
	order := binary.LittleEndian
	shift := order.Uint32(super[extBlockSize:])
	if shift > 6 {
		return nil, unsure("blocks of 1 KiB << %d", shift)
	}
	l := &extLayout{
		size:      size,
		blockSize: 1024 << shift,
		blocks:    uint64(order.Uint32(super[extBlocks:])),
		first:     uint64(order.Uint32(super[extFirstBlock:])),
		perGroup:  uint64(order.Uint32(super[extGroupBlocks:])),
		sparse:    extHas(super, extROCompat, extSparseSuper),
	}
	if extHas(super, extIncompat, ext64Bit) {
		l.blocks |= uint64(order.Uint32(super[extBlocksHigh:])) << 32
	}
	if l.blocks > uint64(size/l.blockSize) || l.blocks <= l.first {
		return nil, unsure("%d blocks of %d bytes", l.blocks, l.blockSize)
	}
	if want := uint64(1 - min(shift, 1)); l.first != want || l.perGroup < 8 {
		return nil, unsure("groups of %d blocks from block %d on", l.perGroup, l.first)
	}
	if !l.sparse && l.groups() > extMostBackups {
		return nil, unsure("%d superblocks", l.groups())
	}
	return l, nil
}

func (l *extLayout) groups() uint64 {
	return (l.blocks - l.first + l.perGroup - 1) / l.perGroup
}

func (l *extLayout) groupOffset(group uint64) int64 {
	return int64(l.first+group*l.perGroup) * l.blockSize
}

// backups are the groups but 0 that have a copy of the superblock: all, or 1
// and the powers of 3, 5 and 7.
func (l *extLayout) backups() []uint64 {
	var groups []uint64
	if !l.sparse {
		for g := uint64(1); g < l.groups(); g++ {
			groups = append(groups, g)
		}
		return groups
	}
	if l.groups() > 1 {
		groups = append(groups, 1)
	}
	for _, base := range []uint64{3, 5, 7} {
		for g := base; g < l.groups(); g *= base {
			groups = append(groups, g)
		}
	}
	slices.Sort(groups)
	return groups
}

// Offsets in the first block of a journal, which is big-endian.
const (
	journalMagic  = 0xc03b3998
	journalKind   = 4
	journalStart  = 28 // 0 if there is nothing to replay
	journalFlags  = 36 // three sets of features
	journalUUID   = 48
	journalLength = 64 // of what is looked at here
)

// journalUUID is where the journal has the filesystem's UUID, 0 for nowhere.
// A journal with features might have checksums, which depend on that.
func (l *extLayout) journalUUID(super []byte, image io.ReaderAt) (int64, error) {
	if !extHas(super, extCompat, extHasJournal) {
		return 0, nil
	}
	block, err := l.journalBlock(super, image)
	if err != nil {
		return 0, err
	}
	head, err := l.readBlock(image, block, journalLength)
	if err != nil {
		return 0, err
	}
	order := binary.BigEndian
	if kind := order.Uint32(head[journalKind:]); order.Uint32(head) != journalMagic || kind != 4 {
		return 0, unsure("block %d: not a journal, or of kind %d", block, kind)
	}
	if order.Uint32(head[journalStart:]) != 0 || bytes.Count(head[journalFlags:journalUUID], []byte{0}) != 12 {
		return 0, unsure("journal in use or with features")
	}
	switch uuid := head[journalUUID:]; {
	case bytes.Equal(uuid, super[extUUID:extUUID+len(uuid)]):
		return int64(block)*l.blockSize + journalUUID, nil
	case bytes.Count(uuid, []byte{0}) == len(uuid):
		return 0, nil
	}
	return 0, unsure("journal of another filesystem")
}

// journalBlock is the journal's first block, by the copy of its inode's block
// map that is in the superblock: extents, or block numbers.
func (l *extLayout) journalBlock(super []byte, image io.ReaderAt) (uint64, error) {
	const header, deepest = 12, 5
	order := binary.LittleEndian
	inode, device := order.Uint32(super[extJournalInode:]), order.Uint32(super[extJournalDevice:])
	if inode != 8 || device != 0 || super[extJournalBackup] != 1 {
		return 0, unsure("journal in inode %d, on device %d", inode, device)
	}
	node := super[extJournalBlocks:][:2*header]
	if !extHas(super, extIncompat, extExtents) {
		return uint64(order.Uint32(node)), nil
	}
	for range deepest + 1 {
		depth, entry := order.Uint16(node[6:]), node[header:]
		if order.Uint16(node) != 0xf30a || order.Uint16(node[2:]) == 0 || order.Uint32(entry) != 0 {
			return 0, unsure("journal: not a tree of extents")
		}
		if depth == 0 {
			return uint64(order.Uint32(entry[8:])) | uint64(order.Uint16(entry[6:]))<<32, nil
		}
		child := uint64(order.Uint32(entry[4:])) | uint64(order.Uint16(entry[8:]))<<32
		var err error
		if node, err = l.readBlock(image, child, 2*header); err != nil {
			return 0, err
		}
	}
	return 0, unsure("journal: a tree of extents that is too deep")
}

// readBlock reads the beginning of a block, n bytes.
func (l *extLayout) readBlock(image io.ReaderAt, block uint64, n int) ([]byte, error) {
	if block <= l.first || block >= l.blocks {
		return nil, unsure("block %d of %d", block, l.blocks)
	}
	return readWithin(image, l.size, int64(block)*l.blockSize, n)
}
