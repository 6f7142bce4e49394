// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"sync/atomic"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/overlay"
	"nbdkit-tmpdisk-plugin/tmpdisk/register"
	"nbdkit-tmpdisk-plugin/tmpdisk/session"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
	"nbdkit-tmpdisk-plugin/tmpdisk/supply"
)

// Connection is a client's connection to its disk.
type Connection struct {
	Requests
	file    disk.Interface
	export  *liveExport
	fresh   *supply.Fresh  // nil if it is a session's
	session *session.Conn  // nil if the disk is gone with its client
	how     status.Outcome // how the client got the disk

	client  *register.Client
	counted *counted
	direct  Direct         // may be nil
	meter   *clients.Meter // nil if the client may have as much a second as it likes
}

// newConnection is one to a disk that is one client's alone, who came then.
func newConnection(x *liveExport, d *supply.Fresh, came time.Time) *Connection {
	return &Connection{Requests: d.Interface, file: d.Interface, export: x, fresh: d, how: d.Outcome(came)}
}

// Numbers, Times, Fenced, Failed and Allocated are for the register.

func (c *Connection) Numbers() status.Numbers {
	n := c.counted.counts.Load()
	if c.direct != nil {
		n.Add(c.direct.Numbers())
	}
	return n
}

func (c *Connection) Times() status.RequestTimes {
	if c.direct == nil {
		return status.RequestTimes{}
	}
	return c.direct.Times()
}

func (c *Connection) Fenced() bool      { return c.session != nil && c.session.Fenced() }
func (c *Connection) Failed() bool      { return c.session != nil && c.session.Failed() }
func (c *Connection) Allocated() uint64 { return c.file.Space() }

// Description is the export's.
func (c *Connection) Description() string { return c.export.cfg.Described() }

// Size and ReadOnly are the file's.
func (c *Connection) Size() int64    { return c.file.Size() }
func (c *Connection) ReadOnly() bool { return c.file.ReadOnly() }

// BlockSize is the file's, but not less than the export's sectors. Smaller requests are
// taken all the same.
func (c *Connection) BlockSize() (minimum, preferred, maximum uint32) {
	minimum, preferred, maximum = c.file.BlockSize()
	sector := uint32(c.export.cfg.SectorSize)
	return max(minimum, sector), max(preferred, sector), maximum
}

// FD is the file's, for the bindings to read and write; -1 if they must not,
// because the client may have so much a second only.
func (c *Connection) FD() int {
	if c.meter != nil {
		return -1
	}
	return c.file.FD()
}

// Map says for which blocks the bindings must read elsewhere, and not write past Go; see
// overlay.Disk. bits is nil if FD has all of them.
func (c *Connection) Map() (bits []uint64, base int, baseSize int64) {
	if d, ok := c.file.(*overlay.Disk); ok {
		return d.Map()
	}
	return nil, -1, 0
}

// Shared reports whether all connections under this client's name see one disk
// (nbdkit's .can_multi_conn).
func (c *Connection) Shared() bool { return c.session != nil && c.session.Shared() }

// Gate is what reads and writes of FD must go through; see session.Conn. word is
// nil if there is none.
func (c *Connection) Gate() (word *atomic.Uint64, read, write uint64) {
	if c.session == nil {
		return nil, 0, 0
	}
	return c.session.Gate()
}

// A Client is who asks for a disk.
type Client struct {
	Export string // the name that it asked for
	// Peer says who it is. It is called at most once, on the goroutine of Open.
	Peer func() (clients.Peer, error)
	// Direct are the requests that do not come to the Connection's methods; may be nil.
	Direct Direct
	// Sleep sleeps for so long, or returns an error when the client has gone or
	// the server is to end. It is called on the goroutines of requests.
	Sleep func(time.Duration) error
}

// Direct counts the requests that are served past the Connection's methods.
type Direct interface {
	Numbers() status.Numbers
	// Times are those of some requests; Time adds one.
	Times() status.RequestTimes
	Time(d time.Duration)
}

// withClient runs a function with a context that ends when the client has gone
// or the server is to end.
type withClient = func(func(context.Context) (*Connection, error)) (*Connection, error)
