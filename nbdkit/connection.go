// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import "sync/atomic"

// Connection has neither methods nor fields. It may be embedded in the type that
// implements [ConnectionInterface], which plugins written for other bindings do.
type Connection struct{}

// ConnectionInterface is what every connection must have. The rest is
// optional: for a connection without the methods of [PWriter], [Trimmer] and
// so on the server behaves as for a C plugin without those callbacks.
//
// An error's errno (see [PluginError]) goes to the client. Slices are nbdkit's own
// buffers: they are valid during the call only. nbdkit checks offsets and counts
// against the size before the call.
type ConnectionInterface interface {
	// GetSize (.get_size) returns the size in bytes, at most 2^63-1. It is
	// called once.
	GetSize() (uint64, error)

	// PRead (.pread) fills buf with the bytes at offset. flags is 0.
	PRead(buf []byte, offset uint64, flags uint32) error
}

// ConnectionCloser gets .close.
type ConnectionCloser interface {
	Close()
}

// BlockSizer gets .block_size: sizes in bytes, minimum <= preferred <=
// maximum, or all 0 for no information.
type BlockSizer interface {
	BlockSize() (minimum, preferred, maximum uint32, err error)
}

// ExportDescriber gets .export_description: UTF-8 of at most 4096 bytes, or
// "" for none.
type ExportDescriber interface {
	ExportDescription() (string, error)
}

// CanWriter gets .can_write. Without it a connection can be written to if it
// is a [PWriter].
type CanWriter interface {
	CanWrite() (bool, error)
}

// CanFlusher gets .can_flush. Without it a connection can be flushed if it is
// a [Flusher].
type CanFlusher interface {
	CanFlush() (bool, error)
}

// IsRotationaler gets .is_rotational. Without it the answer is false.
type IsRotationaler interface {
	IsRotational() (bool, error)
}

// CanTrimmer gets .can_trim. Without it a connection can be trimmed if it is
// a [Trimmer].
type CanTrimmer interface {
	CanTrim() (bool, error)
}

// CanZeroer gets .can_zero. Without it Zero is used if the connection is a
// [Zeroer]. Where it is false the server writes zeroes by PWrite.
type CanZeroer interface {
	CanZero() (bool, error)
}

// CanFastZeroer gets .can_fast_zero. Without it fast zeroes are offered only
// if the connection does not zero (every such request then fails at once).
type CanFastZeroer interface {
	CanFastZero() (bool, error)
}

// CanExtentser gets .can_extents. Without it extents are offered if the
// connection is an [Extenter].
type CanExtentser interface {
	CanExtents() (bool, error)
}

// CanFUAer gets .can_fua, and answers with one of the FUA constants. Without
// it the answer is FUAEmulate for a [Flusher] and FUANone otherwise.
type CanFUAer interface {
	CanFUA() (uint32, error)
}

// CanMultiConner gets .can_multi_conn. Without it the answer is false.
type CanMultiConner interface {
	CanMultiConn() (bool, error)
}

// CanCacher gets .can_cache, and answers with one of the Cache constants.
// Without it the answer is CacheNative for a [Cacher] and CacheNone otherwise.
type CanCacher interface {
	CanCache() (uint32, error)
}

// PWriter gets .pwrite: store buf at offset. flags may have FlagFUA.
type PWriter interface {
	PWrite(buf []byte, offset uint64, flags uint32) error
}

// Flusher gets .flush. flags is 0.
type Flusher interface {
	Flush(flags uint32) error
}

// Trimmer gets .trim: count bytes at offset are not needed. flags may have
// FlagFUA.
type Trimmer interface {
	Trim(count uint32, offset uint64, flags uint32) error
}

// Zeroer gets .zero: count bytes at offset become zeroes. flags may have
// FlagMayTrim, FlagFastZero and FlagFUA. If it fails with EOPNOTSUPP and the
// request is not fast, the server writes zeroes by PWrite. Servers before 1.34
// do that only for the first 64 MiB, so it is better not to rely on it.
type Zeroer interface {
	Zero(count uint32, offset uint64, flags uint32) error
}

// Extenter gets .extents: describe count bytes at offset by calls to
// extents.Add. extents is valid during the call only. With FlagReqOne in flags
// one extent is enough.
type Extenter interface {
	Extents(count uint32, offset uint64, flags uint32, extents *Extents) error
}

// Cacher gets .cache: the client will soon use count bytes at offset. flags is
// 0.
type Cacher interface {
	Cache(count uint32, offset uint64, flags uint32) error
}

// DirectFDer is for a connection whose bytes are those of a file, each at the
// same offset. DirectFD is called once, after Open. It returns the file's
// descriptor, or -1. Until Close the descriptor must stay open and the file as
// long as the connection. The bindings then serve .pread and .pwrite from it
// without calling Go, which makes small requests a tenth cheaper. PRead and
// PWrite still get the connection's requests until one has succeeded, and later
// all requests that have flags or that fail.
type DirectFDer interface {
	DirectFD() int
}

// DirectMapper is for a [DirectFDer] some of whose bytes are those of another file, which
// is only read, as long as they have not been written: a copy-on-write disk. DirectMap is
// called once, after DirectFD, and is about .pread and .pwrite. Nil bits are no map.
//
// Bit n%64 of bits[n/64] says whether block n, of block bytes (a power of two), is in the
// file of DirectFD. If not, it is in base, a descriptor like that one, at the same offset,
// up to baseSize bytes. The plugin sets bits atomically, and never clears one. Before it
// sets a bit, the block can be read from the file of DirectFD. bits is pinned until Close
// has returned if it is memory of Go's, and must stay where it is otherwise.
//
// The bindings read and write past Go what is in one of the two files as a whole, and
// write only to that of DirectFD. All else comes to PRead and PWrite.
type DirectMapper interface {
	DirectMap() (bits []uint64, block uint32, base int, baseSize int64)
}

// DirectGater is for a [DirectFDer] that must be able to stop the bindings from
// serving .pread and .pwrite without Go. DirectGate is called once, after
// DirectFD. A nil word is no gate.
//
// The low 32 bits of word count the requests that the bindings have in progress,
// reads and writes together. read and write are masks of bits above those: a read
// goes past Go only while word has a bit of read, a write only while it has one
// of write. The others come to PRead and PWrite, and are not counted. (A request
// that finds its bit clear does raise the count, for an instant.)
//
// The plugin changes its bits by word.And and word.Or only, never by Store. The
// low bits of what word.And returns are the number of requests that began before
// it cleared the bits. All of those have ended when the low bits have since been
// 0 once, and none goes past Go until the bits are set again.
//
// Several connections may have one word. It is memory of Go's, and the bindings
// pin it until Close has returned.
type DirectGater interface {
	DirectGate() (word *atomic.Uint64, read, write uint64)
}

// DirectCounter is for a [DirectFDer] that wants to know how many .pread and
// .pwrite the bindings serve without Go. DirectCounts is called once, after
// DirectFD and DirectGate. nil counts nothing.
//
// The counts are memory of Go's, which the bindings pin until Close has returned.
// They may be read at any time, and after that as well. With a gate, every request
// that has begun has been counted when the low bits of word are 0. Several
// connections may have the same counts, but with counts of their own they do not
// slow each other down.
type DirectCounter interface {
	DirectCounts() *DirectCounts
}
