// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package ext

import (
	"encoding/binary"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/ondisk"
)

// A layout knows where the copies of the superblock are.
type layout struct {
	image     ondisk.Image
	blockSize int64
	blocks    uint64
	first     uint64 // block where group 0 begins
	perGroup  uint64
	sparse    bool     // not every group has a copy
	two       []uint64 // the groups that have, with sparse_super2
}

// mostBackups bounds what is read. With sparse_super it is never reached;
// without, that is 128 GiB in blocks of 4 KiB.
const mostBackups = 1024

func newLayout(super []byte, image ondisk.Image) *layout {
	order := binary.LittleEndian
	shift := order.Uint32(super[atBlockSize:])
	ondisk.Want(shift <= 6, "blocks of 1 KiB << %d", shift)
	l := &layout{
		image:     image,
		blockSize: 1024 << shift,
		blocks:    uint64(order.Uint32(super[atBlocks:])),
		first:     uint64(order.Uint32(super[atFirstBlock:])),
		perGroup:  uint64(order.Uint32(super[atGroupBlocks:])),
		sparse:    has(super, atROCompat, sparseSuper),
	}
	if has(super, atIncompat, is64Bit) {
		l.blocks |= uint64(order.Uint32(super[atBlocksHigh:])) << 32
	}
	ondisk.Want(l.blocks <= uint64(image.Size/l.blockSize) && l.blocks > l.first,
		"%d blocks of %d bytes", l.blocks, l.blockSize)
	// mke2fs makes no smaller groups. With clusters of several blocks it always begins at 0.
	ondisk.Want((l.first == uint64(1-min(shift, 1)) || l.first == 0 && has(super, atROCompat, bigalloc)) && l.perGroup >= 256,
		"groups of %d blocks from block %d on", l.perGroup, l.first)
	if has(super, atCompat, sparseSuper2) {
		l.sparse, l.two = true, []uint64{}
		for i := range 2 {
			if group := uint64(order.Uint32(super[atBackups+4*i:])); group != 0 {
				ondisk.Want(group < l.groups(), "a copy in group %d", group)
				l.two = append(l.two, group)
			}
		}
	}
	ondisk.Want(l.sparse || l.groups() <= mostBackups, "%d superblocks", l.groups())
	return l
}

func (l *layout) groups() uint64 {
	return (l.blocks - l.first + l.perGroup - 1) / l.perGroup
}

func (l *layout) groupOffset(group uint64) int64 {
	return int64(l.first+group*l.perGroup) * l.blockSize
}

// backups are the groups but 0 that have a copy of the superblock: all, or 1
// and the powers of 3, 5 and 7, or the two that the superblock names.
func (l *layout) backups() []uint64 {
	if l.two != nil {
		return l.two
	}
	var groups []uint64
	for g := uint64(1); g < l.groups(); g++ {
		if !l.sparse || isPower(g, 3) || isPower(g, 5) || isPower(g, 7) {
			groups = append(groups, g)
		}
	}
	return groups
}

// isPower reports whether n is 1, base, or a further power of base.
func isPower(n, base uint64) bool {
	for n%base == 0 {
		n /= base
	}
	return n == 1
}
