// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// leasedOptions are those of a server on a filesystem that others have as well.
func leasedOptions(t testing.TB, now *clock, parent string) Options {
	o := dirOptions(t, now, parent)
	o.Sync, o.shared = true, true
	o.clock = func() time.Duration { return now.now().Sub(time.Unix(0, 0)) }
	return o
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

// Whatever two servers do and whoever is cut off: what was acknowledged before a
// client came to the other server is there, and nothing of the old one comes later.
func TestLeaseModel(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(seed, 17))
			now, parent := newClock(), t.TempDir()
			servers := [2]*Sessions{}
			for i := range servers {
				servers[i] = started(t, leasedOptions(t, now, parent))
			}
			m := &leaseModel{t: t, path: inParent(parent, diskOf(keyA)), rng: rng, now: now}
			for at := range m.content {
				m.content[at] = []int{0}
			}
			m.conn = open(t, servers[0], keyA, blank(t, parent, testSize))
			m.write(m.conn)
			for range 12 {
				m.round(servers)
			}
			for i, s := range m.old {
				servers[i].Close(s)
			}
			m.check()
			servers[m.at].Close(m.conn)
		})
	}
}

// isLocked reports whether somebody has the lock of a file.
func isLocked(t testing.TB, path string) bool {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == unix.EWOULDBLOCK
}

type leaseModel struct {
	t    *testing.T
	path string // of the disk
	rng  *rand.Rand
	now  *clock
	seq  int
	fua  bool // in this round; such a write would look for itself who has the session
	// content is the last write that was acknowledged, and those after it that
	// failed: what a failed one leaves nobody can say, until it is read.
	content [modelBlocks][]int

	at   int // the server that has the client
	conn *Conn
	old  map[int]*Conn // of a server that was cut off, and still has its client
}

// write writes one block, which must not fail unless c was cut off.
func (m *leaseModel) write(c *Conn) {
	m.seq++
	at := m.rng.IntN(modelBlocks)
	err := c.PWrite(block(1, m.seq), uint64(at*blockSize), m.fua && m.rng.IntN(2) == 0)
	switch {
	case err == nil:
		m.content[at] = []int{m.seq}
	case c == m.conn:
		m.t.Errorf("write %d: %v", m.seq, err)
	default:
		m.content[at] = append(m.content[at], m.seq)
	}
}

func (m *leaseModel) check() {
	m.t.Helper()
	for at, may := range m.content {
		buf := make([]byte, blockSize)
		if err := m.conn.PRead(buf, uint64(at*blockSize)); err != nil {
			m.t.Fatal(err)
		}
		_, seq := unblock(buf)
		if !slices.Contains(may, seq) {
			m.t.Errorf("block %d: got write %d, want one of %v", at, seq, may)
		}
		m.content[at] = []int{seq}
	}
}

func (m *leaseModel) round(servers [2]*Sessions) {
	m.fua = m.rng.IntN(2) == 0
	for range m.rng.IntN(5) {
		m.write(m.conn)
		m.now.pass(time.Duration(m.rng.IntN(8)) * time.Second)
	}
	other := 1 - m.at
	if c := m.old[other]; c != nil { // else it would come back to its own connection
		servers[other].Close(c)
		delete(m.old, other)
	}
	cut := m.rng.IntN(3) > 0
	if cut {
		cutOff(m.t, m.conn)
	} else {
		servers[m.at].Close(m.conn)
	}
	last := m.conn
	m.conn = nil
	o := beginOpen(context.Background(), servers[other])
	if cut { // else the old server could have its lock again before the new one has it
		eventually(m.t, "the other server's lock", func() bool { return isLocked(m.t, m.path) })
	}
	c := o.wait(m.t, m.now, func() {
		if cut {
			m.write(last)
		}
	})
	m.conn, m.at = c, other
	if cut {
		m.old = map[int]*Conn{1 - other: last}
	}
	m.check()
	for range m.rng.IntN(4) {
		if cut {
			m.lateWrite(last)
		}
		m.write(m.conn)
		m.now.pass(time.Duration(m.rng.IntN(8)) * time.Second)
	}
	m.check()
}

// lateWrite is one of a server that has been taken over from.
func (m *leaseModel) lateWrite(c *Conn) {
	if err := c.PWrite(block(9, 9), 0, false); err == nil {
		m.t.Error("a server modifies what is another's now")
	}
}

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
	now, parent := newClock(), t.TempDir()
	s := started(t, leasedOptions(t, now, parent))
	c := open(t, s, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
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
		"zero":  func() error { return c.Zero(4096, 0, true, false, false) },
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
	now, parent := newClock(), t.TempDir()
	o := leasedOptions(t, now, parent)
	a, b := started(t, o), started(t, o)
	c := open(t, a, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
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

// A disk that was given back to this server is had at once; so is one on a
// filesystem that is this machine's alone, where the lock is enough.
func TestNobodyWaitsWithoutNeed(t *testing.T) {
	for name, shared := range map[string]bool{"given back here": true, "killed, and not shared": false} {
		t.Run(name, func(t *testing.T) {
			now, parent := newClock(), t.TempDir()
			o := leasedOptions(t, now, parent)
			o.shared = shared
			a, b := started(t, o), started(t, o)
			c := open(t, a, keyA, blank(t, parent, testSize))
			put(t, c, 1, 1, 0)
			if shared {
				a.Close(c)
				b = a
			} else {
				dies(a)
			}
			c = open(t, b, keyA, none) // hangs if it waits: no time passes
			wantBlock(t, c, 1, 1, 0)
			b.Close(c)
		})
	}
}

// A client that does not wait for long gets in after all, if it comes again. Not
// so on a third server, which does not know since when.
func TestImpatientClient(t *testing.T) {
	now, parent := newClock(), t.TempDir()
	o := leasedOptions(t, now, parent)
	a, b, third := started(t, o), started(t, o), started(t, o)
	c := open(t, a, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
	cutOff(t, c)
	for waited := time.Duration(0); waited < leaseWait; waited += 5 * time.Second {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		if _, err := b.Open(ctx, keyA, "", minute, none); err == nil {
			t.Fatalf("the client is let in after %v", waited)
		}
		cancel()
		now.pass(5 * time.Second)
	}
	waits := false
	d := beginOpen(context.Background(), third).wait(t, now, func() { waits = true })
	if !waits {
		t.Error("the third server does not wait")
	}
	third.Close(d)
	d = beginOpen(context.Background(), b).wait(t, now, nothing)
	wantBlock(t, d, 1, 1, 0)
	b.Close(d)
	a.Close(c)
}

func TestImpatientClientComesAgain(t *testing.T) {
	now, parent := newClock(), t.TempDir()
	o := leasedOptions(t, now, parent)
	a, b := started(t, o), started(t, o)
	c := open(t, a, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
	cutOff(t, c)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := b.Open(ctx, keyA, "", minute, none); err == nil {
		t.Fatal("the client is let in at once")
	}
	now.pass(leaseWait)
	d := open(t, b, keyA, none) // hangs if it waits once more
	wantBlock(t, d, 1, 1, 0)
	b.Close(d)
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
			now, parent := newClock(), t.TempDir()
			s := started(t, leasedOptions(t, now, parent))
			c := open(t, s, keyA, blank(t, parent, testSize))
			put(t, c, 1, 1, 0)
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

// A session that a sweep has looked after while its server was cut off is not
// taken for one that was given back.
func TestBuriedIsNotSettled(t *testing.T) {
	now, parent := newClock(), t.TempDir()
	o := leasedOptions(t, now, parent)
	a := started(t, o)
	c := open(t, a, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
	b := started(t, o)
	c.session.held.lease.end() // a hangs, and does not look
	cutOff(t, c)
	now.pass(2 * time.Minute) // b buries it
	change(t, parent, keyA, func(r *record) {
		if r.Connected || !r.Unsettled {
			t.Errorf("got record %+v, want it given back, and unsettled", *r)
		}
	})
	third := started(t, o)
	waits := false
	d := beginOpen(context.Background(), third).wait(t, now, func() { waits = true })
	if !waits {
		t.Error("nobody waits for the server that was cut off")
	}
	wantBlock(t, d, 1, 1, 0)
	third.Close(d)
	a.Close(c)
	b.Stop()
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

// What the old server's kernel had and could not write lands in a file that
// nobody has any more, where the filesystem can clone.
func TestStuckWrite(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a filesystem")
	}
	for _, fs := range []string{"xfs", "btrfs"} {
		t.Run(fs, func(t *testing.T) {
			image := filepath.Join(t.TempDir(), "image")
			if err := os.WriteFile(image, nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(image, 400<<20); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command("mkfs."+fs, "-q", image).CombinedOutput(); err != nil {
				t.Skipf("needs mkfs.%s: %v: %s", fs, err, out)
			}
			now, parent := newClock(), mountImage(t, image, "")
			o := leasedOptions(t, now, parent)
			a, b := started(t, o), started(t, o)
			c := open(t, a, keyA, blank(t, parent, testSize))
			put(t, c, 1, 1, 0)
			stuck := openFile(t, inParent(parent, diskOf(keyA)))
			cutOff(t, c)
			d := beginOpen(context.Background(), b).wait(t, now, nothing)
			if _, err := unix.Pwrite(stuck, block(9, 9), 0); err != nil {
				t.Fatal(err)
			}
			wantBlock(t, d, 1, 1, 0)
			put(t, d, 2, 1, 1)
			b.Close(d)
			a.Close(c)
			wantFiles(t, parent, diskOf(keyA), recordOf(keyA), lockName)
			d = open(t, b, keyA, none)
			wantBlock(t, d, 1, 1, 0)
			wantBlock(t, d, 2, 1, 1)
			b.Close(d)
			unix.Close(stuck)
			closeKeeper(a)
			closeKeeper(b)
		})
	}
}
