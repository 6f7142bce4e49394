// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"sync/atomic"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// Requests are what a client may do with its disk; see packages disk and session.
type Requests interface {
	Do(disk.Request) error
}

// limited holds requests back. All count as requests; those that move data, or have
// the server move it, count with their bytes.
type limited struct {
	Requests
	meter *clients.Meter
	sleep func(time.Duration) error
}

// Do carries out a request when its client may have it. That the client goes
// meanwhile is nothing for the log.
func (l *limited) Do(r disk.Request) error {
	bytes := r.Len()
	switch r.Op {
	case disk.Trim, disk.Zero, disk.Extents:
		bytes = 0
	}
	if err := l.meter.Wait(bytes, l.sleep); err != nil {
		return logged{err}
	}
	return l.Requests.Do(r)
}

// counted counts the requests that the bindings do not serve themselves, times one
// in 256 of them, and keeps failures from flooding the log.
type counted struct {
	Requests
	counts status.Counts
	all    atomic.Uint64
	time   func(time.Duration)
	failed func(error) error
}

func (c *counted) Do(r disk.Request) error {
	var began time.Time
	if c.all.Add(1)%256 == 0 {
		began = time.Now()
	}
	if err := c.Requests.Do(r); err != nil {
		return c.failed(err)
	}
	switch r.Op {
	case disk.Read:
		c.counts.Read.Add(r.Len())
	case disk.Write:
		c.counts.Written.Add(r.Len())
	case disk.Trim:
		c.counts.Trimmed.Add(r.Len())
	case disk.Zero:
		c.counts.Zeroed.Add(r.Len())
	}
	if !began.IsZero() {
		c.time(time.Since(began))
	}
	return nil
}
