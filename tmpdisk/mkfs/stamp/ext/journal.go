// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package ext

import (
	"bytes"
	"encoding/binary"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/ondisk"
)

// Offsets in the first block of a journal, which is big-endian.
const (
	journalUUID   = 48
	journalLength = 64 // of what is looked at here
)

// journal is the filesystem's UUID in the journal, where mke2fs has put it.
// A journal with features might have checksums, which depend on that.
func (l *layout) journal(super []byte) []ondisk.Region {
	block := l.journalBlock(super)
	head := l.readBlock(block, journalLength)
	c := ondisk.Check{Data: head, Order: binary.BigEndian}
	c.Is("journal's magic number", 0, 4, 0xc03b3998, 0)
	c.Is("journal's kind", 4, 4, 4, 0)
	c.Is("journal's first transaction", 28, 4, 0, 0)
	for set := range 3 {
		c.Is("journal's features", 36+4*set, 4, 0, 0)
	}
	uuid := head[journalUUID:]
	if ondisk.IsZero(uuid) {
		return nil
	}
	ondisk.Want(bytes.HasPrefix(super[atUUID:], uuid), "journal of another filesystem")
	return []ondisk.Region{{
		Offsets: []int64{int64(block)*l.blockSize + journalUUID},
		Data:    uuid,
		Fields:  []ondisk.Field{{Offsets: []int{0}, Of: ondisk.UUID}},
	}}
}

// journalBlock is the journal's first block, by the copy of its inode's block
// map that is in the superblock: extents, or block numbers.
func (l *layout) journalBlock(super []byte) uint64 {
	const header, deepest = 12, 5
	c := ondisk.Check{Data: super, Order: binary.LittleEndian}
	c.Is("journal in inode", 0xe0, 4, 8, 0)
	c.Is("journal on device", 0xe4, 4, 0, 0)
	c.Is("kind of journal's backup", 0xfd, 1, 1, 0)
	order := c.Order
	node := super[atJournalBlocks:][:2*header]
	if !has(super, atIncompat, extents) {
		return uint64(order.Uint32(node))
	}
	for level := 0; ; level++ {
		ondisk.Want(level <= deepest, "journal: a tree of extents that is too deep")
		depth, entry := order.Uint16(node[6:]), node[header:]
		ondisk.Want(order.Uint16(node) == 0xf30a && order.Uint16(node[2:]) != 0 && order.Uint32(entry) == 0,
			"journal: not a tree of extents")
		if depth == 0 {
			return uint64(order.Uint32(entry[8:])) | uint64(order.Uint16(entry[6:]))<<32
		}
		child := uint64(order.Uint32(entry[4:])) | uint64(order.Uint16(entry[8:]))<<32
		node = l.readBlock(child, 2*header)
	}
}

// readBlock reads the beginning of a block, n bytes.
func (l *layout) readBlock(block uint64, n int) []byte {
	ondisk.Want(block > l.first && block < l.blocks, "block %d of %d", block, l.blocks)
	return l.image.Bytes(int64(block)*l.blockSize, n)
}
