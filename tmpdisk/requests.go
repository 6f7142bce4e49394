// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"sync/atomic"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// Requests are what a client may do with its disk; see packages disk and session.
type Requests interface {
	PRead(buf []byte, off uint64) error
	PWrite(buf []byte, off uint64, fua bool) error
	Flush() error
	Trim(count uint32, off uint64, fua bool) error
	Zero(count uint32, off uint64, mayTrim, fast, fua bool) error
	Extents(count uint32, off uint64, reqOne bool, add func(off, length uint64, hole bool) error) error
	Cache(count uint32, off uint64) error
}

// limited holds the requests back that move or change data.
type limited struct {
	Requests
	meter *clients.Meter
	sleep func(time.Duration) error
}

// wait holds back a request of n bytes. That its client goes meanwhile is nothing for
// the log.
func (l limited) wait(n int) error {
	if err := l.meter.Wait(uint64(n), l.sleep); err != nil {
		return logged{err}
	}
	return nil
}

func (l limited) PRead(buf []byte, off uint64) error {
	if err := l.wait(len(buf)); err != nil {
		return err
	}
	return l.Requests.PRead(buf, off)
}

func (l limited) PWrite(buf []byte, off uint64, fua bool) error {
	if err := l.wait(len(buf)); err != nil {
		return err
	}
	return l.Requests.PWrite(buf, off, fua)
}

func (l limited) Trim(count uint32, off uint64, fua bool) error {
	if err := l.wait(0); err != nil {
		return err
	}
	return l.Requests.Trim(count, off, fua)
}

func (l limited) Zero(count uint32, off uint64, mayTrim, fast, fua bool) error {
	if err := l.wait(0); err != nil {
		return err
	}
	return l.Requests.Zero(count, off, mayTrim, fast, fua)
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

func (c *counted) begin() (began time.Time) {
	if c.all.Add(1)%256 == 0 {
		began = time.Now()
	}
	return began
}

// end books a request of so many bytes.
func (c *counted) end(began time.Time, n *status.Counter, bytes int, err error) error {
	if err == nil {
		n.Add(uint64(bytes))
	}
	return c.told(began, err)
}

func (c *counted) PRead(buf []byte, off uint64) error {
	return c.end(c.begin(), &c.counts.Read, len(buf), c.Requests.PRead(buf, off))
}

func (c *counted) PWrite(buf []byte, off uint64, fua bool) error {
	return c.end(c.begin(), &c.counts.Written, len(buf), c.Requests.PWrite(buf, off, fua))
}

func (c *counted) Trim(count uint32, off uint64, fua bool) error {
	return c.end(c.begin(), &c.counts.Trimmed, int(count), c.Requests.Trim(count, off, fua))
}

func (c *counted) Zero(count uint32, off uint64, mayTrim, fast, fua bool) error {
	return c.end(c.begin(), &c.counts.Zeroed, int(count), c.Requests.Zero(count, off, mayTrim, fast, fua))
}

func (c *counted) Flush() error { return c.told(c.begin(), c.Requests.Flush()) }

func (c *counted) Extents(count uint32, off uint64, reqOne bool, add func(off, length uint64, hole bool) error) error {
	return c.told(c.begin(), c.Requests.Extents(count, off, reqOne, add))
}

func (c *counted) Cache(count uint32, off uint64) error {
	return c.told(c.begin(), c.Requests.Cache(count, off))
}

// told books a request that moves no data of the client's.
func (c *counted) told(began time.Time, err error) error {
	if err != nil {
		return c.failed(err)
	}
	if !began.IsZero() {
		c.time(time.Since(began))
	}
	return nil
}
