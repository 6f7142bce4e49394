// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"sync/atomic"
	"time"

	"libguestfs.org/nbdkit"

	"nbdkit-tmpdisk-plugin/tmpdisk"
	request "nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/overlay"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

var (
	_ nbdkit.ConnectionInterface = (*disk)(nil)
	_ nbdkit.ConnectionCloser    = (*disk)(nil)
	_ nbdkit.BlockSizer          = (*disk)(nil)
	_ nbdkit.ExportDescriber     = (*disk)(nil)
	_ nbdkit.CanWriter           = (*disk)(nil)
	_ nbdkit.CanFastZeroer       = (*disk)(nil)
	_ nbdkit.CanFUAer            = (*disk)(nil)
	_ nbdkit.CanMultiConner      = (*disk)(nil)
	_ nbdkit.PWriter             = (*disk)(nil)
	_ nbdkit.Flusher             = (*disk)(nil)
	_ nbdkit.Trimmer             = (*disk)(nil)
	_ nbdkit.Zeroer              = (*disk)(nil)
	_ nbdkit.Extenter            = (*disk)(nil)
	_ nbdkit.Cacher              = (*disk)(nil)
	_ nbdkit.DirectFDer          = (*disk)(nil)
	_ nbdkit.DirectMapper        = (*disk)(nil)
	_ nbdkit.DirectGater         = (*disk)(nil)
	_ nbdkit.DirectCounter       = (*disk)(nil)
)

// disk is one client's disk.
type disk struct {
	*tmpdisk.Connection
	server *tmpdisk.Server
	counts counts
}

// Close implements .close.
func (d *disk) Close() {
	d.server.Close(d.Connection)
}

// GetSize implements .get_size.
func (d *disk) GetSize() (uint64, error) {
	return uint64(d.Connection.Size()), nil
}

// ExportDescription implements .export_description.
func (d *disk) ExportDescription() (string, error) {
	return d.Connection.Description(), nil
}

// BlockSize implements .block_size.
func (d *disk) BlockSize() (minimum, preferred, maximum uint32, err error) {
	minimum, preferred, maximum = d.Connection.BlockSize()
	return minimum, preferred, maximum, nil
}

// CanWrite implements .can_write.
func (d *disk) CanWrite() (bool, error) {
	return !d.Connection.ReadOnly(), nil
}

// CanFastZero implements .can_fast_zero.
func (d *disk) CanFastZero() (bool, error) {
	return true, nil
}

// CanMultiConn implements .can_multi_conn. Two connections are two disks, unless
// they share a session.
func (d *disk) CanMultiConn() (bool, error) {
	return d.Connection.Shared(), nil
}

// CanFUA implements .can_fua. Like Flush it is untrue on purpose, but for sessions
// with session-sync: a disk that does not outlive its client need not be on
// stable storage.
func (d *disk) CanFUA() (uint32, error) {
	return nbdkit.FUANative, nil
}

// DirectFD lets the bindings serve reads and writes themselves.
func (d *disk) DirectFD() int {
	return d.Connection.FD()
}

// DirectMap tells the bindings what of a disk over a base is the client's own.
func (d *disk) DirectMap() (bits []uint64, block uint32, base int, baseSize int64) {
	bits, base, baseSize = d.Connection.Map()
	return bits, overlay.Block, base, baseSize
}

// DirectGate lets a session stop its connections.
func (d *disk) DirectGate() (word *atomic.Uint64, read, write uint64) {
	return d.Connection.Gate()
}

// DirectCounts lets the bindings count what they serve themselves.
func (d *disk) DirectCounts() *nbdkit.DirectCounts {
	return &d.counts.DirectCounts
}

// counts tells package tmpdisk what the bindings have counted.
type counts struct{ nbdkit.DirectCounts }

func (c *counts) Numbers() (n status.Numbers) {
	n.Read = status.Count{Bytes: int64(c.ReadBytes.Load()), Requests: int64(c.Reads.Load())}
	n.Written = status.Count{Bytes: int64(c.WrittenBytes.Load()), Requests: int64(c.Writes.Load())}
	return n
}

func (c *counts) Times() (t status.RequestTimes) {
	t.Sum = time.Duration(c.LatencySum.Load())
	for i := range t.Counts {
		t.Counts[i] = c.Latency[i].Load()
	}
	return t
}

// The values are nbdkit's: a difference does not compile.
const (
	_ = -(uint32(request.MayTrim) ^ nbdkit.FlagMayTrim)
	_ = -(uint32(request.FUA) ^ nbdkit.FlagFUA)
	_ = -(uint32(request.One) ^ nbdkit.FlagReqOne)
	_ = -(uint32(request.Fast) ^ nbdkit.FlagFastZero)
)

// ranged is a request that has no buffer.
func ranged(op request.Op, count uint32, offset uint64, flags uint32) request.Request {
	return request.Request{Op: op, Count: count, Offset: offset, Flags: request.Flags(flags)}
}

// PRead implements .pread.
func (d *disk) PRead(buf []byte, offset uint64, flags uint32) error {
	return d.Do(request.Request{Op: request.Read, Buf: buf, Offset: offset, Flags: request.Flags(flags)})
}

// PWrite implements .pwrite.
func (d *disk) PWrite(buf []byte, offset uint64, flags uint32) error {
	return d.Do(request.Request{Op: request.Write, Buf: buf, Offset: offset, Flags: request.Flags(flags)})
}

// Flush implements .flush.
func (d *disk) Flush(flags uint32) error {
	return d.Do(ranged(request.Flush, 0, 0, flags))
}

// Trim implements .trim.
func (d *disk) Trim(count uint32, offset uint64, flags uint32) error {
	return d.Do(ranged(request.Trim, count, offset, flags))
}

// Zero implements .zero.
func (d *disk) Zero(count uint32, offset uint64, flags uint32) error {
	return d.Do(ranged(request.Zero, count, offset, flags))
}

// Extents implements .extents.
func (d *disk) Extents(count uint32, offset uint64, flags uint32, extents *nbdkit.Extents) error {
	r := ranged(request.Extents, count, offset, flags)
	r.Add = func(offset, length uint64, hole bool) error {
		if hole {
			return extents.Add(offset, length, nbdkit.ExtentHole|nbdkit.ExtentZero)
		}
		return extents.Add(offset, length, 0)
	}
	return d.Do(r)
}

// Cache implements .cache.
func (d *disk) Cache(count uint32, offset uint64, flags uint32) error {
	return d.Do(ranged(request.Cache, count, offset, flags))
}
