// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
)

// crawlingDisk takes a second for each request, and zeroes only by writing.
type crawlingDisk struct {
	Disk
	now  *clock
	done uint64 // bytes
}

func (d *crawlingDisk) Do(r disk.Request) error {
	if r.Has(disk.Fast) {
		return unix.EOPNOTSUPP
	}
	if r.Op.Modifies() {
		d.now.pass(time.Second)
		d.done += r.Len()
	}
	return d.Disk.Do(r)
}

// A request that is in the middle when the lease is over goes no further.
func TestLeaseEndsInTheMiddle(t *testing.T) {
	const size = 1 << 32
	for name, test := range map[string]struct {
		modify func(c *Conn, fua bool) error
		count  uint64
		atMost uint64 // bytes within the lease
	}{
		"write": {func(c *Conn, fua bool) error { return c.PWrite(make([]byte, 32<<20), 0, fua) }, 32 << 20, 10 << 20},
		"zero":  {func(c *Conn, fua bool) error { return c.Zero(32<<20, 0, 0, fua) }, 32 << 20, 10 << 20},
		"trim":  {func(c *Conn, fua bool) error { return c.Trim(size-1, 0, fua) }, size - 1, 10 * 256 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			now, parent := newClock(), t.TempDir()
			s := started(t, leasedOptions(t, now, parent))
			c := open(t, s, keyA, blank(t, parent, size))
			d := &crawlingDisk{Disk: c.disk, now: now}
			c.disk = d
			if err := test.modify(c, true); err != nil {
				t.Fatal(err)
			}
			if d.done != test.count {
				t.Errorf("got %d bytes done, want %d", d.done, test.count)
			}
			now.pass(leaseTime)
			if err := test.modify(c, false); err != nil { // begins with a look
				t.Fatal(err)
			}
			now.pass(leaseTime)
			put(t, c, 1, 1, 0)
			change(t, parent, keyA, func(r *record) { r.Generation++ })
			d.done = 0
			if err := test.modify(c, false); !errors.Is(err, unix.ESHUTDOWN) {
				t.Errorf("got %v, want ESHUTDOWN", err)
			}
			if d.done > test.atMost {
				t.Errorf("got %d bytes done, want at most %d", d.done, test.atMost)
			}
			s.Close(c)
		})
	}
}

// A disk that cannot be zeroed fast is not touched by a request to do it fast.
func TestFastZeroIsRefused(t *testing.T) {
	now, parent := newClock(), t.TempDir()
	s := started(t, leasedOptions(t, now, parent))
	c := open(t, s, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
	d := &crawlingDisk{Disk: c.disk, now: now}
	c.disk = d
	if err := c.Zero(4096, 0, disk.Fast, false); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("got %v, want EOPNOTSUPP", err)
	}
	wantBlock(t, c, 1, 1, 0)
	s.Close(c)
}
