// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mold

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"os"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

const (
	// scanLimit is how many bytes Read looks at before it gives up: without
	// holes, as on filesystems that have none, zeroes take time as well.
	scanLimit = 4 << 30
	// readLength and slabSize are in bytes. Both are small because garbage of
	// reading stays: a server that idles does not collect it.
	readLength = 64 << 10
	slabSize   = 256 << 10
)

// Read returns the mold of the file that f is open on, whose offset it moves.
// If the mold takes more than limit bytes, the error wraps ErrTooLarge.
func Read(f *os.File, limit int64) (*Mold, error) {
	m, err := read(f, limit)
	if err != nil {
		return nil, fmt.Errorf("read mold: %w", err)
	}
	return m, nil
}

func read(f *os.File, limit int64) (*Mold, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	c := collector{
		size: st.Size(), limit: limit, buf: make([]byte, readLength),
		seed: maphash.MakeSeed(), known: map[uint64]int{},
	}
	if err := sys.SettleHoles(int(f.Fd())); err != nil {
		return nil, err
	}
	scanned := int64(0)
	for off := int64(0); off < c.size; {
		data, hole, err := sys.NextData(int(f.Fd()), off, c.size)
		if err != nil {
			return nil, err
		}
		if data == c.size {
			break
		}
		data = max(off, data/blockSize*blockSize)
		if scanned += hole - data; scanned > scanLimit {
			return nil, fmt.Errorf("%d bytes of data or more: %w", scanned, ErrTooLarge)
		}
		if off, err = c.readRange(f, data, hole); err != nil {
			return nil, err
		}
	}
	return &Mold{size: c.size, kept: c.kept(), pieces: c.pieces}, nil
}

// A collector keeps blocks that are not zero, each content once.
type collector struct {
	size, limit int64
	buf         []byte
	blocks      int      // how many are kept
	slabs       [][]byte // where they are, one after the other
	pieces      []piece
	last        int // index of the block that the last piece ends with
	seed        maphash.Seed
	known       map[uint64]int // index of a block by its hash
}

const pieceMemory = 80 // bytes, about, for a piece in a slice that grows

func (c *collector) kept() int64 { return int64(c.blocks*blockSize + len(c.pieces)*pieceMemory) }

// readRange reads whole blocks from off, until end is reached. It returns where
// the last one ends.
func (c *collector) readRange(f *os.File, off, end int64) (int64, error) {
	end = (end + blockSize - 1) / blockSize * blockSize
	for off < end {
		buf := c.buf[:min(readLength, end-off)]
		// What is behind the end of the file counts as zeroes.
		clear(buf)
		if _, err := f.ReadAt(buf[:min(int64(len(buf)), c.size-off)], off); err != nil {
			return 0, fmt.Errorf("offset %d: %w", off, err)
		}
		for b := 0; b < len(buf); b += blockSize {
			if block := buf[b:][:blockSize]; !bytes.Equal(block, zeroes[:]) {
				c.add(off+int64(b), block)
			}
		}
		off += int64(len(buf))
		if c.kept() > c.limit {
			return 0, fmt.Errorf("more than %d bytes: %w", c.limit, ErrTooLarge)
		}
	}
	return end, nil
}

var zeroes [blockSize]byte

// add makes the last piece longer, if the block repeats it or comes next in its
// slab, or else begins another one.
func (c *collector) add(off int64, block []byte) {
	before, i := c.last, c.index(block)
	c.last = i
	if n := len(c.pieces); n > 0 && c.pieces[n-1].end == off {
		p := &c.pieces[n-1]
		once := int64(len(p.data)) == p.end-p.off
		switch {
		case once && i == before+1 && i%slabBlocks != 0:
			p.data = p.data[:len(p.data)+blockSize]
			p.end += blockSize
			return
		case len(p.data) == blockSize && i == before:
			p.end += blockSize
			return
		}
	}
	c.pieces = append(c.pieces, piece{off, off + blockSize, c.at(i)})
}

// index is that of an equal block, which is added if there is none.
func (c *collector) index(block []byte) int {
	h := maphash.Bytes(c.seed, block)
	i, ok := c.known[h]
	if ok && bytes.Equal(c.at(i), block) {
		return i
	}
	i = c.blocks
	c.known[h] = i
	if i%slabBlocks == 0 {
		c.slabs = append(c.slabs, make([]byte, slabSize))
	}
	c.blocks++
	copy(c.at(i), block)
	return i
}

const slabBlocks = slabSize / blockSize

// at is the block with index i. Those after it in its slab are within its capacity.
func (c *collector) at(i int) []byte {
	return c.slabs[i/slabBlocks][i%slabBlocks*blockSize:][:blockSize]
}
