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
)

// leasedOptions are those of a server on a filesystem that others have as well.
func leasedOptions(t testing.TB, now *clock, parent string) Options {
	o := dirOptions(t, now, parent)
	o.Sync, o.shared = true, true
	o.clock = func() time.Duration { return now.now().Sub(time.Unix(0, 0)) }
	return o
}

// leased returns a server with leases, and a client of it that has written block 0.
func leased(t testing.TB) (now *clock, parent string, s *Sessions, c *Conn) {
	t.Helper()
	now, parent = newClock(), t.TempDir()
	s = started(t, leasedOptions(t, now, parent))
	c = open(t, s, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
	return now, parent, s, c
}

// twoLeased returns two such servers with one directory; the client is a's.
func twoLeased(t testing.TB) (now *clock, parent string, a, b *Sessions, c *Conn) {
	t.Helper()
	now, parent, a, c = leased(t)
	return now, parent, a, started(t, leasedOptions(t, now, parent)), c
}

// cutOff is what a filesystem does to a server that it cannot reach: the lock of
// c's disk is anybody's, and the server goes on.
func cutOff(t testing.TB, c *Conn) {
	t.Helper()
	if err := unix.Flock(c.session.held.disk.FD(), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
}

// opening is an Open that goes on.
type opening struct {
	conn chan *Conn
	err  error
}

func beginOpen(ctx context.Context, s *Sessions) *opening {
	o := &opening{conn: make(chan *Conn, 1)}
	go func() {
		var c *Conn
		c, o.err = s.Open(ctx, keyA, "export", minute, none)
		o.conn <- c
	}()
	return o
}

// wait lets time pass, a second at a time, until the client is in. It calls
// meanwhile, which may use other connections, before each.
func (o *opening) wait(t testing.TB, now *clock, meanwhile func()) *Conn {
	t.Helper()
	for range 2000 {
		select {
		case c := <-o.conn:
			if o.err != nil {
				t.Fatal(o.err)
			}
			return c
		case <-time.After(2 * time.Millisecond):
		}
		meanwhile()
		now.pass(time.Second)
	}
	t.Fatal("the client is not let in")
	return nil
}

func nothing() {}

// A server whose lock is lost, and which nobody has taken over from, goes on.
func TestLeaseIsRenewed(t *testing.T) {
	now, parent := newClock(), t.TempDir()
	s := started(t, leasedOptions(t, now, parent))
	c := open(t, s, keyA, blank(t, parent, testSize))
	for seq := range 10 {
		cutOff(t, c)
		now.pass(leaseTime - time.Second)
		put(t, c, 1, seq, 0)
		if seq%2 == 0 {
			now.pass(2 * time.Second)
			put(t, c, 2, seq, 1)
			if err := unix.Flock(openFile(t, inParent(parent, diskOf(keyA))), unix.LOCK_EX|unix.LOCK_NB); err != unix.EWOULDBLOCK {
				t.Fatalf("lock by another: got %v, want EWOULDBLOCK", err)
			}
		}
	}
	s.Close(c)
}

func openFile(t testing.TB, path string) int {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// What modifies is refused without the lease; what does not is not.
func TestLeaseIsForWhatModifies(t *testing.T) {
	now, parent, s, c := leased(t)
	if _, read, write := c.Gate(); read == 0 || write != 0 {
		t.Errorf("got bits %#x and %#x, want requests that modify to come here", read, write)
	}
	change(t, parent, keyA, func(r *record) { r.Generation++ })
	put(t, c, 1, 2, 0)
	now.pass(leaseTime)
	wantBlock(t, c, 1, 2, 0)
	for name, f := range map[string]func() error{
		"write": func() error { return c.PWrite(block(1, 3), 0, false) },
		"trim":  func() error { return c.Trim(4096, 0, false) },
		"zero":  func() error { return c.Zero(4096, 0, 0, false) },
		"flush": c.Flush,
	} {
		if err := f(); !errors.Is(err, unix.ESHUTDOWN) {
			t.Errorf("%s: got %v, want ESHUTDOWN", name, err)
		}
	}
	s.Close(c)
}

// A server that finds out that it has been overtaken does not keep the lock that
// nobody had just then.
func TestOvertakenLetsGo(t *testing.T) {
	now, parent, a, b, c := twoLeased(t)
	cutOff(t, c)
	b.Close(beginOpen(context.Background(), b).wait(t, now, nothing))
	if err := c.PWrite(block(9, 9), 0, false); !errors.Is(err, errOvertaken) {
		t.Errorf("got %v, want it overtaken", err)
	}
	if err := unix.Flock(openFile(t, inParent(parent, diskOf(keyA))), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Errorf("lock by another: got %v", err)
	}
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
			now, _, s, c := leased(t)
			c.session.fail(fmt.Errorf("fdatasync: %w", test.err))
			s.Close(c)
			if test.lost {
				wantLost(t, s, keyA, Failed)
				return
			}
			waits := false
			c = beginOpen(context.Background(), s).wait(t, now, func() { waits = true })
			if !waits {
				t.Error("nobody waits for what the server may have had in progress")
			}
			wantBlock(t, c, 1, 1, 0)
			s.Close(c)
		})
	}
}

// A server that a request could not reach the filesystem with does not give the disk
// back: what it has not passed on may come when it closes the file.
func TestUnreachableIsNotGivenBack(t *testing.T) {
	_, parent, s, c := leased(t)
	c.disk = cutOffDisk{c.disk}
	if err := c.PWrite(block(1, 2), 0, false); !errors.Is(err, unix.EIO) {
		t.Errorf("got %v, want EIO", err)
	}
	s.Close(c)
	change(t, parent, keyA, func(r *record) {
		if !r.Connected {
			t.Errorf("got record %+v, want it not given back", *r)
		}
	})
}

// Nor does one that cannot flush what it has, when its client leaves.
func TestNotFlushedIsNotGivenBack(t *testing.T) {
	_, parent, s, c := leased(t)
	c.session.held.disk = cutOffDisk{c.session.held.disk}
	s.Close(c)
	change(t, parent, keyA, func(r *record) {
		if !r.Connected {
			t.Errorf("got record %+v, want it not given back", *r)
		}
	})
}

type cutOffDisk struct{ Disk }

func (cutOffDisk) Sync() error           { return unix.ENOTCONN }
func (cutOffDisk) Do(disk.Request) error { return unix.ENOTCONN }

// nbdkit would tell clients EINVAL, which is their own fault.
func TestUnreachableIsAnErrorOfIO(t *testing.T) {
	s := started(t, testOptions(t, nil))
	c := open(t, s, keyA, fresh(newFake()))
	c.disk = cutOffDisk{c.disk}
	for name, err := range requests(c) {
		if name != "flush" && !errors.Is(err, unix.EIO) {
			t.Errorf("%s: got %v, want EIO", name, err)
		}
	}
	s.Close(c)
}

// The lock of a directory is often this machine's only, so it is that of a file.
func TestNamingWaitsForOtherMachines(t *testing.T) {
	now, parent := newClock(), t.TempDir()
	s := started(t, leasedOptions(t, now, parent))
	s.Close(open(t, s, keyB, blank(t, parent, testSize)))
	other := openFile(t, inParent(parent, lockName))
	if err := unix.Flock(other, unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	begun := make(chan *Conn)
	go func() {
		c, _ := s.Open(context.Background(), keyA, "export", minute, blank(t, parent, testSize))
		begun <- c
	}()
	select {
	case <-begun:
		t.Error("a disk is given its name while another machine gives names")
	case <-time.After(50 * time.Millisecond):
		unix.Flock(other, unix.LOCK_UN)
		s.Close(<-begun)
	}
}
