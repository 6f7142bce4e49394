// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package overlay

import (
	"fmt"
	"sync"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
)

// take carries out a request that makes blocks of the base the client's own. They are
// that only when all of it is done. Until then, and if it fails, nobody reads what has
// been written to the client's file there.
func (d *Disk) take(r disk.Request) error {
	off, end := r.Offset, r.Offset+r.Len()
	first, last := off/Block, blocks(int64(end))
	d.busy.lock(first, last)
	defer d.busy.unlock(first, last)

	if r.Op == disk.Trim {
		// What cannot be given back must read as zeroes even so: else the base would be
		// read there again.
		r.Op, r.Flags = disk.Zero, disk.MayTrim
	}
	head, whole, tail := d.split(r)
	// First what can fail because it is not fast. Then nothing has been changed.
	if whole.Len() > 0 {
		if err := d.own.Do(whole); err != nil {
			return err
		}
	}
	for _, part := range []disk.Request{head, tail} {
		if part.Len() > 0 {
			if err := d.merge(part); err != nil {
				return err
			}
		}
	}
	return d.mark(first, last)
}

// split divides a request into whole blocks, and what is of a block only in part before
// and behind them. The last block of the disk is whole up to the disk's end.
func (d *Disk) split(r disk.Request) (head, whole, tail disk.Request) {
	if before := r.Offset % Block; before > 0 {
		if Block-before >= r.Len() { // all of it is in one block, which begins earlier
			return r, whole, tail
		}
		head, r = r.Split(uint32(Block - before))
	}
	end := r.Offset + r.Len()
	switch after := end % Block; {
	case after == 0 || end == uint64(d.size):
		return head, r, tail
	case after == r.Len():
		return head, whole, r
	default:
		whole, tail = r.Split(uint32(r.Len() - after))
		return head, whole, tail
	}
}

// blockBuffers are for what is neither the client's own nor the base's alone.
var blockBuffers = sync.Pool{New: func() any { return new([Block]byte) }}

// merge writes the block that a request changes in part, as it is with that change. It
// may have become the client's own since it was looked at.
func (d *Disk) merge(r disk.Request) error {
	n := r.Offset / Block
	if d.bits.has(n) {
		return d.own.Do(r)
	}
	buffer := blockBuffers.Get().(*[Block]byte)
	defer blockBuffers.Put(buffer)
	block := buffer[:min(Block, uint64(d.size)-n*Block)]
	if err := d.base.read(block, n*Block); err != nil {
		return fmt.Errorf("change part of a block: %w", err)
	}
	if part := block[r.Offset%Block:][:r.Len()]; r.Op == disk.Write {
		copy(part, r.Buf)
	} else {
		clear(part)
	}
	return d.own.PWrite(block, n*Block)
}

// mark makes the blocks from first to last the client's own, which they must be fit for.
func (d *Disk) mark(first, last uint64) error {
	if d.kept != nil {
		return d.kept.mark(d.bits, first, last)
	}
	d.bits.set(first, last)
	return nil
}
