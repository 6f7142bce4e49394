// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package disk

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// A Request is what a client asks of its disk. It is passed by value, so that none
// costs an allocation.
type Request struct {
	Op     Op
	Flags  Flags
	Count  uint32 // bytes; for Read and Write it is 0, and Buf says how many
	Offset uint64 // bytes
	Buf    []byte // of Read and Write, and only until Do returns
	// Add is called for each run of data or hole that Extents finds in the range,
	// in order, without gaps and never beyond it. A hole reads as zeroes; data may.
	Add func(off, length uint64, hole bool) error
}

// Op is the kind of a request.
type Op uint8

const (
	Read Op = iota
	Write
	Flush
	Trim
	Zero
	Extents
	Cache
)

// Modifies reports whether the request may change what the disk holds.
func (o Op) Modifies() bool { return o == Write || o == Trim || o == Zero }

// Flags are a request's, with the values that nbdkit gives them.
type Flags uint8

const (
	MayTrim Flags = 1 << iota // Zero may give the space back
	FUA                       // Write, Trim and Zero are kept like what is flushed
	One                       // Extents needs the first run only
	Fast                      // Zero fails if it would take as long as writing
)

// Has reports whether f is set.
func (r *Request) Has(f Flags) bool { return r.Flags&f != 0 }

// Len is how many bytes the request is about.
func (r *Request) Len() uint64 { return uint64(r.Count) + uint64(len(r.Buf)) }

// Split divides a request after n bytes, of which it must have as many at least.
func (r *Request) Split(n uint32) (first, rest Request) {
	first, rest = *r, *r
	rest.Offset += uint64(n)
	if r.Buf != nil {
		first.Buf, rest.Buf = r.Buf[:n], r.Buf[n:]
	} else {
		first.Count, rest.Count = n, r.Count-n
	}
	return first, rest
}

// Do carries out a request. It allocates nothing unless it fails. Flush and FUA do
// nothing here.
func (d *Disk) Do(r Request) error {
	if err := d.check(&r); err != nil || r.Op == Flush {
		return err
	}
	if r.Op == Extents {
		return d.extents(r)
	}
	d.touch()
	switch r.Op {
	case Read:
		return d.read(r.Buf, r.Offset)
	case Write:
		return d.write(r.Buf, r.Offset)
	case Trim:
		return d.trim(r)
	case Zero:
		return d.zero(r)
	}
	return d.cache(r)
}

// check guards the conversions to off_t, and a file against growing; nbdkit lets
// no such request through.
func (d *Disk) check(r *Request) error {
	if d.readOnly && r.Op.Modifies() {
		return fmt.Errorf("request: the command made a read-only disk: %w", unix.EROFS)
	}
	return r.Within(d.size)
}

// Within returns an error if the request goes beyond the end of a disk of size bytes.
func (r *Request) Within(size int64) error {
	if count := r.Len(); r.Offset > uint64(size) || count > uint64(size)-r.Offset {
		return fmt.Errorf("request: offset %d, count %d: beyond the end at %d: %w", r.Offset, count, size, unix.EINVAL)
	}
	return nil
}

// PRead fills buf from offset off.
func (d *Disk) PRead(buf []byte, off uint64) error {
	return d.Do(Request{Op: Read, Buf: buf, Offset: off})
}

// PWrite writes buf at offset off.
func (d *Disk) PWrite(buf []byte, off uint64) error {
	return d.Do(Request{Op: Write, Buf: buf, Offset: off})
}
