// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"sync/atomic"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/session"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// Disk is a client's disk.
type Disk struct {
	Requests
	file   *disk.Disk
	source *source       // of its export
	key    string        // what decided the content when it was made; see source.key
	conn   *session.Conn // nil if the disk is gone with its client

	how      status.Outcome // how it was made
	made     time.Time
	returned bool // by a client that did not use it

	// Of the client that has it now.
	counted *counted
	direct  Direct
	meter   *clients.Meter
	entry   *entry
	client  conn
}

// newDisk returns a disk that is one client's alone.
func newDisk(d *disk.Disk, src *source) *Disk {
	return &Disk{Requests: d, file: d, source: src}
}

// takeBack makes d a disk without a client again.
func (d *Disk) takeBack() {
	d.Requests = d.file
	d.returned = true
	d.counted, d.direct, d.meter, d.entry = nil, nil, nil, nil
}

// numbers are those of its client's requests.
func (d *Disk) numbers() status.Numbers {
	n := d.counted.counts.Load()
	if d.direct != nil {
		n.Add(d.direct.Numbers())
	}
	return n
}

// times are those of some of them.
func (d *Disk) times() status.RequestTimes {
	if d.direct == nil {
		return status.RequestTimes{}
	}
	return d.direct.Times()
}

// Description is the export's.
func (d *Disk) Description() string { return d.source.cfg.Description }

// Size, BlockSize and ReadOnly are the file's.
func (d *Disk) Size() int64                                     { return d.file.Size() }
func (d *Disk) BlockSize() (minimum, preferred, maximum uint32) { return d.file.BlockSize() }
func (d *Disk) ReadOnly() bool                                  { return d.file.ReadOnly() }

// FD is the file's, for the bindings to read and write; -1 if they must not,
// because the client may have so much a second only.
func (d *Disk) FD() int {
	if d.meter != nil {
		return -1
	}
	return d.file.FD()
}

// Touched and Close are for the pool.
func (d *Disk) Touched() bool { return d.file.Touched() }
func (d *Disk) Close() error  { return d.file.Close() }

// Shared reports whether all connections under this client's name see one disk
// (nbdkit's .can_multi_conn).
func (d *Disk) Shared() bool { return d.conn != nil && d.conn.Shared() }

// Gate is what reads and writes of FD must go through; see session.Conn. word is
// nil if there is none.
func (d *Disk) Gate() (word *atomic.Uint64, read, write uint64) {
	if d.conn == nil {
		return nil, 0, 0
	}
	return d.conn.Gate()
}
