// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package overlay

import (
	"fmt"
	"math/bits"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Bits is the map in memory: bit n%64 of word n/64 is set if block n is the client's
// own. A bit is never cleared. It is set when the block can be read from the client's
// file, so whoever finds it set needs no lock.
//
// The memory is the kernel's zero page until a bit is set, 4 KiB at a time, each for
// 128 MiB of the disk.
type Bits []uint64

// newBits returns n bits, none of them set.
func newBits(n uint64) (Bits, error) {
	words := max(1, (n+63)/64)
	mem, err := unix.Mmap(-1, 0, int(words*8), unix.PROT_READ|unix.PROT_WRITE,
		unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("map of a disk of %d blocks: mmap: %w", n, err)
	}
	// A huge page would take 2 MiB for the first block that is written.
	_ = unix.Madvise(mem, unix.MADV_NOHUGEPAGE) // unknown to kernels without huge pages
	return unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(mem))), words), nil
}

// free gives the memory back.
func (b Bits) free() error {
	return unix.Munmap(b.bytes())
}

// or sets bits of word i. Those of others who do so at the same time stay.
func (b Bits) or(i, bits uint64) { atomic.OrUint64(&b[i], bits) }

func (b Bits) word(i uint64) uint64 { return atomic.LoadUint64(&b[i]) }

// has reports whether bit n is set.
func (b Bits) has(n uint64) bool { return b.word(n/64)>>(n%64)&1 != 0 }

// run returns whether bit n is set, and the first bit after it that is not like it;
// end if there is none before.
func (b Bits) run(n, end uint64) (next uint64, set bool) {
	set = b.has(n)
	for n < end {
		w := b.word(n / 64)
		if set {
			w = ^w
		}
		if w >>= n % 64; w != 0 {
			return min(end, n+uint64(bits.TrailingZeros64(w))), set
		}
		n = (n/64 + 1) * 64
	}
	return end, set
}

// set sets the bits from from to to.
func (b Bits) set(from, to uint64) {
	for i := from / 64; i*64 < to; i++ {
		b.or(i, mask(i, from, to))
	}
}

// mask are the bits of word i that are from from to to.
func mask(i, from, to uint64) uint64 {
	m := ^uint64(0)
	if lo := i * 64; from > lo {
		m <<= from - lo
	}
	if hi := (i + 1) * 64; to < hi {
		m &= ^uint64(0) >> (hi - to)
	}
	return m
}

// bytes are the words of b as they are in memory.
func (b Bits) bytes() []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(b))), len(b)*8)
}
