// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package overlay

import (
	"errors"
	"fmt"
	"math"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
)

// Block is how many bytes are the client's own, or the base's, together.
const Block = 4 << 10

// maxSize keeps the map of a disk within the address space: 32 GiB of it.
const maxSize = 1 << 50

// Disk is a disk over a base: see the picture in doc.go. It is a [disk.Interface], and
// may be used as a [disk.Disk] may.
type Disk struct {
	own  *disk.Disk // the client's file
	base *Base
	size int64 // in bytes
	bits Bits
	busy busy
	kept *kept // nil until Keep

	patched []span // what Patch has made the client's own, until Keep

	touched, closed atomic.Bool
}

// New returns a disk that reads as base does, and as zeroes behind its end. own is an
// empty file of the disk's size, which is the base's at least. The disk takes it over,
// after an error too, and holds the base itself.
func New(own *disk.Disk, base *Base) (*Disk, error) { return over(own, base, own.Size()) }

// over puts a disk together, all blocks of which are the base's.
func over(own *disk.Disk, base *Base, size int64) (*Disk, error) {
	d := &Disk{own: own, base: base, size: size}
	var err error
	switch {
	case size > maxSize:
		err = fmt.Errorf("a disk of %d bytes: more than %d cannot stand on a base: %w", size, int64(maxSize), unix.EFBIG)
	case size < base.Size():
		err = fmt.Errorf("a disk of %d bytes: its base has %d: %w", size, base.Size(), unix.EINVAL)
	default:
		d.bits, err = newBits(blocks(size))
	}
	if err != nil {
		return nil, errors.Join(err, own.Close())
	}
	d.busy.freed.L = &d.busy.mu
	base.Hold()
	return d, nil
}

// Patch writes data at offset off, as no client's request does. It must come before Keep
// and the first request.
func (d *Disk) Patch(off int64, data []byte) error {
	r := disk.Request{Op: disk.Write, Offset: uint64(off), Buf: data}
	if err := r.Within(d.size); err != nil || len(data) == 0 {
		return err
	}
	d.patched = append(d.patched, span{r.Offset / Block, blocks(off + int64(len(data)))})
	return d.take(r)
}

// blocks is how many blocks a disk of size bytes has. The last one may be shorter.
func blocks(size int64) uint64 { return (uint64(size) + Block - 1) / Block }

// Size is the disk's, in bytes.
func (d *Disk) Size() int64 { return d.size }

// FD is the descriptor of the client's file, which has the client's own blocks where
// the disk has them. What else is to be known is in Map.
func (d *Disk) FD() int { return d.own.FD() }

// Map is what reads and writes that go past Do must look at: bits says which blocks, of
// Block bytes each, are to be read and written in FD, and base and baseSize are the
// descriptor and the size of where the others are to be read. It is true until Close.
func (d *Disk) Map() (bits Bits, base int, baseSize int64) {
	return d.bits, d.base.image.FD(), d.base.Size()
}

// Base is what the disk stands on.
func (d *Disk) Base() *Base { return d.base }

// Space is what the client's own file takes of its filesystem, in bytes.
func (d *Disk) Space() uint64 { return d.own.Space() }

// BlockSize is that of [disk.Disk], but that at least a block is preferred.
func (d *Disk) BlockSize() (minimum, preferred, maximum uint32) {
	_, preferred, _ = d.own.BlockSize()
	return 1, max(preferred, Block), math.MaxUint32
}

// ReadOnly is false: no disk of this kind is.
func (d *Disk) ReadOnly() bool { return false }

// Touched reports whether a request has read or changed any of the disk.
func (d *Disk) Touched() bool { return d.touched.Load() }

// Close frees the disk. Closing twice is harmless.
func (d *Disk) Close() error {
	if d.closed.Swap(true) {
		return nil
	}
	return errors.Join(d.own.Close(), d.bits.free(), d.base.Release())
}

// Do carries out a request. It allocates nothing unless it fails. Flush and FUA do
// nothing here.
func (d *Disk) Do(r disk.Request) error {
	if err := r.Within(d.size); err != nil || r.Op == disk.Flush || r.Len() == 0 {
		return err
	}
	if r.Op == disk.Extents {
		return d.extents(r)
	}
	if !d.touched.Load() {
		d.touched.Store(true)
	}
	switch r.Op {
	case disk.Read:
		return d.read(r.Buf, r.Offset)
	case disk.Cache:
		return d.cache(r)
	}
	end := r.Offset + r.Len()
	if next, own := d.run(r.Offset, end); own && next == end {
		return d.own.Do(r)
	}
	return d.take(r)
}

// PRead fills buf from offset off.
func (d *Disk) PRead(buf []byte, off uint64) error {
	return d.Do(disk.Request{Op: disk.Read, Buf: buf, Offset: off})
}

// PWrite writes buf at offset off.
func (d *Disk) PWrite(buf []byte, off uint64) error {
	return d.Do(disk.Request{Op: disk.Write, Buf: buf, Offset: off})
}

// run returns whether the block at off is the client's own, and where, at end at the
// latest, a block begins that is not like it.
func (d *Disk) run(off, end uint64) (next uint64, own bool) {
	n, own := d.bits.run(off/Block, blocks(int64(end)))
	return min(n*Block, end), own
}

// read fills buf from off on.
func (d *Disk) read(buf []byte, off uint64) error {
	for len(buf) > 0 {
		next, own := d.run(off, off+uint64(len(buf)))
		part, from := buf[:next-off], d.base.read
		if own {
			from = d.own.PRead
		}
		if err := from(part, off); err != nil {
			return err
		}
		buf, off = buf[len(part):], next
	}
	return nil
}

// cache asks for all of both files: to tell which blocks are whose could take a
// million calls.
func (d *Disk) cache(r disk.Request) error {
	if err := d.own.Do(r); err != nil {
		return err
	}
	if r.Count = uint32(d.base.within(r.Offset, r.Len())); r.Count == 0 {
		return nil
	}
	return d.base.image.Do(r)
}
