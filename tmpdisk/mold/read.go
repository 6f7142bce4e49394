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
	return c.mold(), nil
}

// A collector keeps blocks that are not zero, each content once.
type collector struct {
	size, limit int64
	buf         []byte
	blocks      int      // how many are kept
	slabs       [][]byte // where they are, one after the other
	repeats     []repeat
	seed        maphash.Seed
	known       map[uint64]int // index of a block by its hash
}

// A repeat is length blocks of one slab, from the one with the index first on,
// that stand at off, times in a row.
type repeat struct {
	off           int64
	first, length int
	times         int64
}

const repeatMemory = 80 // bytes, about, for a repeat and its piece

func (c *collector) kept() int64 { return int64(c.blocks*blockSize + len(c.repeats)*repeatMemory) }

func (r repeat) end() int64 { return r.off + int64(r.length)*r.times*blockSize }

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

func (c *collector) add(off int64, block []byte) {
	i := c.index(block)
	if len(c.repeats) > 0 {
		last := &c.repeats[len(c.repeats)-1]
		switch {
		case last.end() != off:
		case last.times == 1 && i == last.first+last.length && i%slabBlocks != 0:
			last.length++
			return
		case last.length == 1 && i == last.first:
			last.times++
			return
		}
	}
	c.repeats = append(c.repeats, repeat{off, i, 1, 1})
}

// index is that of an equal block, which is added if there is none.
func (c *collector) index(block []byte) int {
	h := maphash.Bytes(c.seed, block)
	i, ok := c.known[h]
	if ok && bytes.Equal(c.at(i, 1), block) {
		return i
	}
	i = c.blocks
	c.known[h] = i
	if i%slabBlocks == 0 {
		c.slabs = append(c.slabs, make([]byte, slabSize))
	}
	c.blocks++
	copy(c.at(i, 1), block)
	return i
}

const slabBlocks = slabSize / blockSize

// at is the n blocks of one slab from the one with index i on.
func (c *collector) at(i, n int) []byte {
	return c.slabs[i/slabBlocks][i%slabBlocks*blockSize:][:n*blockSize]
}

// mold makes pieces of what was collected.
func (c *collector) mold() *Mold {
	m := &Mold{size: c.size, kept: c.kept(), pieces: make([]piece, len(c.repeats))}
	for i, r := range c.repeats {
		m.pieces[i] = piece{r.off, r.end(), c.at(r.first, r.length)}
	}
	return m
}
