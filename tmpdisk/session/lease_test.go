// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// leasedOptions are those of a server on a filesystem that others have as well.
func leasedOptions(t testing.TB) (Options, *testkit.Clock) {
	o, now := options(t)
	o.Sync, o.Shared = true, true
	return o, now
}

// leased returns a server with leases, and a client of it that has written block 0.
func leased(t testing.TB) (now *testkit.Clock, s *Sessions, c *Conn) {
	t.Helper()
	o, now := leasedOptions(t)
	s = started(t, o)
	return now, s, written(t, s, keyA)
}

// twoLeased returns two such servers with one directory; the client is a's.
func twoLeased(t testing.TB) (now *testkit.Clock, a, b *Sessions, c *Conn) {
	t.Helper()
	now, a, c = leased(t)
	return now, a, started(t, a.opts), c
}

// cutOff is what a filesystem does to a server that it cannot reach: the lock of
// c's disk is anybody's, and the server goes on.
func cutOff(t testing.TB, c *Conn) {
	t.Helper()
	if err := unix.Flock(c.session.claim.Disk.FD(), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
}

func diskPath(s *Sessions) string { return kit.Path(s.opts.Path, kit.DiskOf(keyA)) }

// opening is an Open that goes on.
type opening struct {
	conn chan *Conn
	err  error
}

func beginOpen(s *Sessions) *opening {
	o := &opening{conn: make(chan *Conn, 1)}
	go func() {
		var c *Conn
		c, o.err = s.Open(context.Background(), keyA, "export", minute, none)
		o.conn <- c
	}()
	return o
}

// wait lets time pass, a second at a time, while the client waits for that, until it
// is in. It calls meanwhile, which may use other connections, before each.
func (o *opening) wait(t testing.TB, now *testkit.Clock, meanwhile func()) *Conn {
	t.Helper()
	var c *Conn
	eventually(t, "the client is let in", func() bool {
		select {
		case c = <-o.conn:
			return true
		default:
		}
		if waits(now) {
			meanwhile()
			now.Pass(time.Second)
		}
		return false
	})
	if o.err != nil {
		t.Fatal(o.err)
	}
	return c
}

// waits reports whether a client waits until another server's lease is over. Without
// one, more time would pass than a session has.
func waits(now *testkit.Clock) bool { return now.Awaits("outwait") }

// taken lets time pass until a client of s is in.
func taken(t testing.TB, s *Sessions, now *testkit.Clock) *Conn {
	t.Helper()
	return beginOpen(s).wait(t, now, func() {})
}

// impatient fails the test if a client of s is let in without time passing.
func impatient(t testing.TB, s *Sessions) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := s.Open(ctx, keyA, "", minute, none); err == nil {
		t.Fatal("the client is let in at once")
	}
}

// A server whose lock is lost, and which nobody has taken over from, goes on.
func TestLeaseIsRenewed(t *testing.T) {
	o, now := leasedOptions(t)
	s := started(t, o)
	c := begin(t, s, keyA)
	for seq := range 10 {
		cutOff(t, c)
		now.Pass(keep.LeaseTime - time.Second)
		put(t, c, 1, seq, 0)
		if seq%2 == 0 {
			now.Pass(2 * time.Second)
			put(t, c, 2, seq, 1)
			if _, ok := kit.Lock(t, diskPath(s)); ok {
				t.Fatal("another can have the lock")
			}
		}
	}
	s.Close(c)
}

// What modifies is refused without the lease; what does not is not.
func TestLeaseIsForWhatModifies(t *testing.T) {
	now, s, c := leased(t)
	if _, read, write := c.Gate(); read == 0 || write != 0 {
		t.Errorf("got bits %#x and %#x, want requests that modify to come here", read, write)
	}
	overtake(t, s)
	put(t, c, 1, 2, 0)
	now.Pass(keep.LeaseTime)
	wantBlock(t, c, 1, 2, 0)
	for name, f := range map[string]func() error{
		"write": func() error { return c.PWrite(kit.Block(1, 3), 0, false) },
		"trim":  func() error { return c.Trim(4096, false) },
		"zero":  func() error { return c.Zero(4096, 0, false) },
		"flush": c.Flush,
	} {
		if err := f(); !errors.Is(err, unix.ESHUTDOWN) {
			t.Errorf("%s: got %v, want ESHUTDOWN", name, err)
		}
	}
	s.Close(c)
}

// A server that finds out that it has been overtaken does not keep the lock, which
// nobody had at that moment.
func TestOvertakenLetsGo(t *testing.T) {
	now, a, b, c := twoLeased(t)
	cutOff(t, c)
	b.Close(taken(t, b, now))
	if err := c.PWrite(kit.Block(9, 9), 0, false); !errors.Is(err, unix.ESHUTDOWN) {
		t.Errorf("got %v, want ESHUTDOWN: it is overtaken, or was found to be at a look", err)
	}
	eventually(t, "another has the lock", func() bool {
		unlock, ok := kit.Lock(t, diskPath(b))
		if ok {
			unlock()
		}
		return ok
	})
	a.Close(c)
}

// A server that cannot reach the filesystem leaves the disk to others, or to itself
// when it can; one whose filesystem fails has lost it, as everywhere.
func TestUnreachableIsNotFailed(t *testing.T) {
	for name, test := range map[string]struct {
		err  error
		lost bool
	}{
		"not connected":  {unix.ENOTCONN, false},
		"bad descriptor": {unix.EBADFD, false},
		"timed out":      {unix.ETIMEDOUT, false},
		"no route":       {unix.EHOSTUNREACH, false},
		"an error":       {unix.EIO, true},
	} {
		t.Run(name, func(t *testing.T) {
			now, s, c := leased(t)
			c.session.fail(fmt.Errorf("fdatasync: %w", test.err))
			s.Close(c)
			if test.lost {
				wantLost(t, s, keep.Failed, keyA)
				return
			}
			waits := false
			c = beginOpen(s).wait(t, now, func() { waits = true })
			if !waits {
				t.Error("nobody waits for what the server may have had in progress")
			}
			wantBlock(t, c, 1, 1, 0)
			s.Close(c)
		})
	}
}

type cutOffDisk struct{ keep.Disk }

func (cutOffDisk) Sync() error           { return unix.ENOTCONN }
func (cutOffDisk) Do(disk.Request) error { return unix.ENOTCONN }

// A server that a request could not reach the filesystem with, or that cannot flush what
// it has when its client leaves, does not give the disk back: what it has not passed on
// may come when it closes the file.
func TestUnreachableIsNotGivenBack(t *testing.T) {
	for name, f := range map[string]func(t *testing.T, c *Conn){
		"a request": func(t *testing.T, c *Conn) {
			c.disk = cutOffDisk{c.disk}
			if err := c.PWrite(kit.Block(1, 2), 0, false); !errors.Is(err, unix.EIO) {
				t.Errorf("got %v, want EIO", err)
			}
		},
		"not flushed": func(t *testing.T, c *Conn) { c.session.claim.Disk = cutOffDisk{c.session.claim.Disk} },
	} {
		t.Run(name, func(t *testing.T) {
			_, s, c := leased(t)
			f(t, c)
			s.Close(c)
			if r := kit.RecordIn(t, s.opts.Path, keyA); !r.Connected {
				t.Errorf("got record %+v, want it not given back", r)
			}
		})
	}
}

// The disk of a client that modifies nothing for long is not dropped by a server
// that finds it without its lock.
func TestIdleServerKeepsItsLock(t *testing.T) {
	now, a, c := leased(t)
	cutOff(t, c)
	started(t, a.opts)
	for range 300 {
		now.Pass(time.Second)
	}
	if err := c.PWrite(kit.Block(1, 2), 0, true); err != nil {
		t.Errorf("write: %v", err)
	}
	wantDisks(t, a, keys{keyA})
	a.Close(c)
}

// A flush while another server only looks at the disk does not end the session.
func TestFlushWhileAnotherLooks(t *testing.T) {
	_, s, c := leased(t)
	cutOff(t, c)
	unlock, ok := kit.Lock(t, diskPath(s))
	if !ok {
		t.Fatal("got no lock")
	}
	if err := c.Flush(); !errors.Is(err, unix.EBUSY) {
		t.Errorf("while another looks: got %v, want EBUSY", err)
	}
	unlock()
	if err := c.Flush(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	s.Close(c)
}

// The lock of a directory is often this machine's only, so it is that of a file.
func TestNamingWaitsForOtherMachines(t *testing.T) {
	o, _ := leasedOptions(t)
	s := started(t, o)
	s.Close(begin(t, s, keyB))
	unlock, ok := kit.Lock(t, kit.Path(o.Path, "lock"))
	if !ok {
		t.Fatal("got no lock")
	}
	begun := make(chan *Conn)
	go func() {
		c, _ := s.Open(context.Background(), keyA, "export", minute, blank(s))
		begun <- c
	}()
	select {
	case <-begun:
		t.Error("a disk is given its name while another machine gives names")
	case <-time.After(50 * time.Millisecond):
		unlock()
		s.Close(<-begun)
	}
}

// crawlingDisk takes a second for each request, and zeroes only by writing.
type crawlingDisk struct {
	keep.Disk
	now  *testkit.Clock
	done uint64 // bytes
}

func (d *crawlingDisk) Do(r disk.Request) error {
	if r.Has(disk.Fast) {
		return unix.EOPNOTSUPP
	}
	if r.Op.Modifies() {
		d.now.Pass(time.Second)
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
		"zero":  {func(c *Conn, fua bool) error { return c.Zero(32<<20, 0, fua) }, 32 << 20, 10 << 20},
		"trim":  {func(c *Conn, fua bool) error { return c.Trim(size-1, fua) }, size - 1, 10 * 256 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			o, now := leasedOptions(t)
			s := started(t, o)
			c := openAs(t, s, keyA, "", minute, kit.Blank(o.Path, size))
			d := &crawlingDisk{Disk: c.disk, now: now}
			c.disk = d
			if err := test.modify(c, true); err != nil {
				t.Fatal(err)
			}
			if d.done != test.count {
				t.Errorf("got %d bytes done, want %d", d.done, test.count)
			}
			now.Pass(keep.LeaseTime)
			if err := test.modify(c, false); err != nil { // begins with a look
				t.Fatal(err)
			}
			now.Pass(keep.LeaseTime)
			put(t, c, 1, 1, 0)
			overtake(t, s)
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
	now, s, c := leased(t)
	c.disk = &crawlingDisk{Disk: c.disk, now: now}
	if err := c.Zero(4096, disk.Fast, false); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("got %v, want EOPNOTSUPP", err)
	}
	wantBlock(t, c, 1, 1, 0)
	s.Close(c)
}
