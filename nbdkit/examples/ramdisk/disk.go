// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"sync"

	"libguestfs.org/nbdkit"
)

const pageSize = 32 << 10

type page [pageSize]byte

// What the disk can do. Misspell a method, and the compiler says so here.
var (
	_ nbdkit.PWriter        = (*ramdisk)(nil)
	_ nbdkit.Flusher        = (*ramdisk)(nil)
	_ nbdkit.CanFUAer       = (*ramdisk)(nil)
	_ nbdkit.Trimmer        = (*ramdisk)(nil)
	_ nbdkit.Zeroer         = (*ramdisk)(nil)
	_ nbdkit.CanFastZeroer  = (*ramdisk)(nil)
	_ nbdkit.Extenter       = (*ramdisk)(nil)
	_ nbdkit.CanMultiConner = (*ramdisk)(nil)
)

// ramdisk is the connection of every client.
type ramdisk struct {
	size uint64

	mu    sync.RWMutex
	pages map[uint64]*page // by number; those not in it are zeroes
}

func newRamdisk(size uint64) *ramdisk {
	return &ramdisk{size: size, pages: map[uint64]*page{}}
}

// eachPage calls f for every piece of the range that lies in one page: piece is
// where it begins in the page, n its length in bytes.
func eachPage(offset, count uint64, f func(number, piece, n uint64)) {
	for count > 0 {
		piece := offset % pageSize
		n := min(pageSize-piece, count)
		f(offset/pageSize, piece, n)
		offset += n
		count -= n
	}
}

func (d *ramdisk) GetSize() (uint64, error) {
	return d.size, nil
}

func (d *ramdisk) PRead(buf []byte, offset uint64, flags uint32) error {
	d.mu.RLock()
	defer d.mu.RUnlock()
	eachPage(offset, uint64(len(buf)), func(number, piece, n uint64) {
		if p := d.pages[number]; p != nil {
			copy(buf[:n], p[piece:])
		} else {
			clear(buf[:n])
		}
		buf = buf[n:]
	})
	return nil
}

func (d *ramdisk) PWrite(buf []byte, offset uint64, flags uint32) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	eachPage(offset, uint64(len(buf)), func(number, piece, n uint64) {
		copy(d.page(number)[piece:], buf[:n])
		buf = buf[n:]
	})
	return nil
}

// page returns a page to write to. d.mu is held.
func (d *ramdisk) page(number uint64) *page {
	p := d.pages[number]
	if p == nil {
		p = new(page)
		d.pages[number] = p
	}
	return p
}

// Flush does nothing: nothing survives the server anyway. With it clients may
// say flush and FUA all the same.
func (d *ramdisk) Flush(flags uint32) error {
	return nil
}

func (d *ramdisk) CanFUA() (uint32, error) {
	return nbdkit.FUANative, nil
}

func (d *ramdisk) Trim(count uint32, offset uint64, flags uint32) error {
	d.zero(uint64(count), offset, true)
	return nil
}

func (d *ramdisk) Zero(count uint32, offset uint64, flags uint32) error {
	d.zero(uint64(count), offset, flags&nbdkit.FlagMayTrim != 0)
	return nil
}

func (d *ramdisk) CanFastZero() (bool, error) {
	return true, nil
}

func (d *ramdisk) zero(count, offset uint64, mayTrim bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	eachPage(offset, count, func(number, piece, n uint64) {
		switch {
		case mayTrim && n == pageSize:
			delete(d.pages, number)
		case mayTrim && d.pages[number] == nil:
			// It is zeroes already.
		default:
			clear(d.page(number)[piece : piece+n])
		}
	})
}

func (d *ramdisk) Extents(count uint32, offset uint64, flags uint32, extents *nbdkit.Extents) (err error) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	// The server joins neighbours of the same type.
	eachPage(offset, uint64(count), func(number, piece, n uint64) {
		if err != nil {
			return
		}
		kind := nbdkit.ExtentHole | nbdkit.ExtentZero
		if d.pages[number] != nil {
			kind = 0
		}
		err = extents.Add(number*pageSize+piece, n, kind)
	})
	return err
}

// CanMultiConn is true: all clients use the same disk, and what one has
// written the others see at once.
func (d *ramdisk) CanMultiConn() (bool, error) {
	return true, nil
}
