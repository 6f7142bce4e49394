// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
)

// asked stands in for fdatasync.
type asked struct {
	mu    sync.Mutex
	err   error
	calls int
	at    int           // how many go on
	hold  chan struct{} // calls wait until it is closed, unless it is nil
}

func (a *asked) ask(int) error {
	a.mu.Lock()
	a.calls++
	a.at++
	hold := a.hold
	a.mu.Unlock()
	if hold != nil {
		<-hold
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at--
	return a.err
}

func (a *asked) set(err error, hold chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err, a.hold = err, hold
}

func (a *asked) goingOn() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at > 0
}

// failures counts those of a server's disks.
type failures struct {
	mu sync.Mutex
	n  map[keep.Key]int
}

func (f *failures) told(key keep.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n[key]++
}

func (f *failures) want(t *testing.T, key keep.Key, n int) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n[key] != n {
		t.Errorf("session %s: got %d failures, want %d", key.Short(), f.n[key], n)
	}
}

func failing(o *Options) (*asked, *failures) {
	a, f := &asked{}, &failures{n: map[keep.Key]int{}}
	o.ask, o.Failed = a.ask, f.told
	return a, f
}

// idle waits until s asks about no disk.
func idle(t *testing.T, s *Sessions) {
	t.Helper()
	eventually(t, "the end of asking", s.writeback.Idle)
}

// wantFailed fails the test unless c, which goes on, is told of the failure.
func wantFailed(t *testing.T, c *Conn) {
	t.Helper()
	if !c.Failed() {
		t.Error("got a disk that has not failed")
	}
	put(t, c, 1, 2, 1)
	wantBlock(t, c, 1, 2, 1)
	if err := c.Flush(); !errors.Is(err, unix.EIO) {
		t.Errorf("flush: got %v, want EIO", err)
	}
	if err := c.PWrite(kit.Block(1, 3), 0, true); !errors.Is(err, unix.EIO) {
		t.Errorf("write with FUA: got %v, want EIO", err)
	}
}

// What the filesystem could not write of a connected client's disk is said when that
// is noticed, and to the client when it flushes. The disk is lost when the client leaves.
func TestFailedWhileConnected(t *testing.T) {
	for name, leave := range map[string]func(t *testing.T, s *Sessions, c *Conn) *Sessions{
		"leaves": func(t *testing.T, s *Sessions, c *Conn) *Sessions {
			s.Close(c)
			wantDisks(t, s, nil, keyA)
			return s
		},
		"its server is killed": func(t *testing.T, s *Sessions, c *Conn) *Sessions {
			o := s.opts
			o.ask = nil
			dies(s)
			return started(t, o)
		},
		"leaves, and the note fails": func(t *testing.T, s *Sessions, c *Conn) *Sessions {
			withoutDescriptors(t, func() { s.Close(c) })
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, now := options(t)
			a, told := failing(&o)
			s := started(t, o)
			c := written(t, s, keyA)
			now.Pass(askEvery)
			idle(t, s)
			if c.Failed() || c.Flush() != nil {
				t.Error("got a disk that has failed")
			}
			a.set(unix.EIO, nil)
			put(t, c, 1, 1, 0)
			for range 3 {
				now.Pass(askEvery)
				idle(t, s)
			}
			told.want(t, keyA, 1)
			wantFailed(t, c)
			wantLost(t, s, keep.Failed, keyA) // whoever comes as well is refused
			s = leave(t, s, c)
			wantLost(t, s, keep.Failed, keyA)
			wantDisks(t, s, nil, keyA)
			told.want(t, keyA, 1)

			usedAs(t, s, keyA, "export", freshMinute)
			idle(t, s)
		})
	}
}

// A record that cannot be changed does not have the disk come back.
func TestFailedWithoutMark(t *testing.T) {
	o, now := options(t)
	a, _ := failing(&o)
	s := started(t, o)
	c := written(t, s, keyA)
	a.set(unix.EIO, nil)
	path := kit.Path(o.Path, kit.RecordOf(keyA))
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	now.Pass(askEvery)
	idle(t, s)
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	wantFailed(t, c)
	s.Close(c)
	wantLost(t, s, keep.Failed, keyA)
	wantDisks(t, s, nil, keyA)
}

// A disk is asked about when its client has left, and is lost if it has failed.
func TestFailedAfterward(t *testing.T) {
	for _, sync := range []bool{false, true} {
		o, _ := options(t)
		o.Sync = sync
		a, told := failing(&o)
		s := started(t, o)
		used(t, s, keyB)
		idle(t, s)
		a.set(unix.ENOSPC, nil)
		used(t, s, keyA)
		idle(t, s)
		wantLost(t, s, keep.Failed, keyA)
		wantDisks(t, s, keys{keyB}, keyA)
		wantWaiting(t, s, "after the failure", keyB)
		told.want(t, keyA, 1)
		told.want(t, keyB, 0)
		wantResumed(t, s, keyB)
		idle(t, s)
		wantClosed(t, s)
	}
}

// A filesystem that cannot sync, or cannot be reached, has not failed a disk. It is asked
// once more.
func TestNoFailure(t *testing.T) {
	for _, err := range []error{unix.EINVAL, unix.ENOTCONN, unix.ENOMEM} {
		o, now := options(t)
		a, told := failing(&o)
		a.set(err, nil)
		s := started(t, o)
		used(t, s, keyA)
		idle(t, s)
		wantResumed(t, s, keyA)
		idle(t, s)
		c := resume(t, s, keyA)
		for range 3 {
			calls := a.calls
			now.Pass(askEvery)
			idle(t, s)
			if a.calls != calls+1 {
				t.Errorf("%v: asked %d times, want one more than %d", err, a.calls, calls)
			}
		}
		if c.Flush() != nil {
			t.Errorf("%v: got a disk that has failed", err)
		}
		s.Close(c)
		told.want(t, keyA, 0)
	}
}

// A client that comes back while it is asked gets its disk at once, and is told when
// the answer comes.
func TestBackWhileAsked(t *testing.T) {
	o, _ := options(t)
	a, told := failing(&o)
	s := started(t, o)
	hold := make(chan struct{})
	a.set(unix.EIO, hold)
	used(t, s, keyA)
	eventually(t, "the question", a.goingOn)
	wantResumed(t, s, keyA) // and leaves again
	c := resume(t, s, keyA)
	if c.Flush() != nil {
		t.Error("got a disk that has failed")
	}
	close(hold)
	eventually(t, "the answer", c.Failed)
	wantFailed(t, c)
	s.Close(c)
	wantLost(t, s, keep.Failed, keyA)
	wantDisks(t, s, nil, keyA)
	told.want(t, keyA, 1)
	idle(t, s)
	wantClosed(t, s)
}

// A client that leaves while it is asked does not wait for the answer. Its disk is lost
// when it comes.
func TestLeavesWhileAsked(t *testing.T) {
	o, now := options(t)
	a, _ := failing(&o)
	s := started(t, o)
	c := written(t, s, keyA)
	hold := make(chan struct{})
	a.set(unix.EIO, hold)
	now.Pass(askEvery)
	eventually(t, "the question", a.goingOn)
	s.Close(c)
	wantDisks(t, s, keys{keyA})
	close(hold)
	idle(t, s)
	wantLost(t, s, keep.Failed, keyA)
	wantDisks(t, s, nil, keyA)
}

// What is noticed when the disk has been given back changes no record.
func TestFailedWhenReleased(t *testing.T) {
	s, _ := server(t)
	c := written(t, s, keyA)
	s.Close(c)
	if held, err := c.session.claim.Fail(); held || err != nil {
		t.Errorf("got %v, %v, want it not held", held, err)
	}
	wantResumed(t, s, keyA)
	idle(t, s)
}

// While one server asks about a disk that has been released, another one may have it. It
// keeps what it has.
func TestAskedForAnother(t *testing.T) {
	o, _ := options(t)
	a, told := failing(&o)
	first := started(t, o)
	o.ask, o.Failed = nil, nil
	second := started(t, o)
	hold := make(chan struct{})
	a.set(unix.EIO, hold)
	used(t, first, keyA)
	eventually(t, "the question", a.goingOn)
	c := resume(t, second, keyA)
	close(hold)
	idle(t, first)
	wantBlock(t, c, 1, 1, 0)
	if c.Flush() != nil {
		t.Error("the other server's disk has failed")
	}
	told.want(t, keyA, 1)
	second.Close(c)
	idle(t, second)
	wantResumed(t, second, keyA)
	idle(t, second)
}

// A disk that has taken the place of the one that failed has not.
func TestFreshAfterFailure(t *testing.T) {
	o, _ := options(t)
	a, told := failing(&o)
	s := started(t, o)
	hold := make(chan struct{})
	a.set(unix.EIO, hold)
	used(t, s, keyA)
	eventually(t, "the question", a.goingOn)
	s.DropOldest(0)
	c := openAs(t, s, keyA, "export", freshMinute, blank(s))
	put(t, c, 1, 1, 0)
	close(hold)
	idle(t, s)
	a.set(nil, nil)
	if c.Failed() {
		t.Error("the fresh disk has failed")
	}
	s.Close(c)
	wantResumed(t, s, keyA)
	idle(t, s)
	told.want(t, keyA, 0)
}

// A disk that is dropped before its turn comes takes no space any more.
func TestDroppedBeforeAsked(t *testing.T) {
	o, _ := options(t)
	a, _ := failing(&o)
	s := started(t, o)
	hold := make(chan struct{})
	a.set(nil, hold)
	used(t, s, keyA)
	eventually(t, "the question", a.goingOn)
	used(t, s, keyB)
	for range 2 {
		s.DropOldest(0)
	}
	wantOpen(t, o.Path, 1) // what is being asked about
	close(hold)
	idle(t, s)
	wantOpen(t, o.Path, 0)
	if a.calls != 1 {
		t.Errorf("asked %d times, want 1", a.calls)
	}
}

// wantOpen fails the test unless this process has so many disks in dir open.
func wantOpen(t *testing.T, dir string, want int) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	got := 0
	for _, link := range links {
		info, err := os.Stat(link)
		if to, _ := os.Readlink(link); err == nil && info.Mode().IsRegular() && strings.HasPrefix(to, dir) {
			got++
		}
	}
	if got != want {
		t.Errorf("got %d disks open, want %d", got, want)
	}
}

// Only disks that were written to are asked about, each once more than it was found
// written to, and never two at a time. So are they again when their clients leave.
func TestAskedOnlyIfWritten(t *testing.T) {
	o, now := options(t)
	a, _ := failing(&o)
	s := started(t, o)
	round := func(want int) {
		t.Helper()
		before := a.calls
		now.Pass(askEvery)
		idle(t, s)
		if got := a.calls - before; got != want {
			t.Errorf("asked about %d disks, want %d", got, want)
		}
	}
	unused := begin(t, s, keyD)
	c, d := written(t, s, keyA), written(t, s, keyB)
	round(2)
	round(2)
	round(0)
	put(t, c, 1, 2, 1)
	round(1)
	round(1)
	round(0)
	before := a.calls
	s.Close(c)
	s.Close(unused)
	idle(t, s)
	if a.calls != before {
		t.Error("asked about a disk that nobody has written to since")
	}
	c = resume(t, s, keyA)
	round(0)

	hold := make(chan struct{})
	a.set(nil, hold)
	put(t, c, 1, 3, 1)
	put(t, d, 1, 3, 1)
	used(t, s, keyC)
	eventually(t, "the question", a.goingOn)
	for range 3 {
		now.Pass(askEvery)
	}
	s.Close(c)
	s.Close(d)
	a.mu.Lock()
	if a.at != 1 {
		t.Errorf("asked about %d disks at a time", a.at)
	}
	a.mu.Unlock()
	close(hold)
	idle(t, s)
}

// A server that ends does not wait for an answer.
func TestStopWhileAsked(t *testing.T) {
	o, _ := options(t)
	a, _ := failing(&o)
	s := started(t, o)
	hold := make(chan struct{})
	a.set(unix.EIO, hold)
	used(t, s, keyA, keyB)
	eventually(t, "the question", a.goingOn)
	s.Stop()
	close(hold)
	idle(t, s)
	o.ask = nil
	s = started(t, o)
	wantResumed(t, s, keyA, keyB)
	idle(t, s)
}

// With session-sync, the connections of a client that came back are cut off, as after a
// flush that fails.
func TestBackWithSync(t *testing.T) {
	o, _ := options(t)
	o.Sync = true
	a, _ := failing(&o)
	s := started(t, o)
	hold := make(chan struct{})
	a.set(unix.EIO, hold)
	used(t, s, keyA)
	eventually(t, "the question", a.goingOn)
	c := resume(t, s, keyA)
	close(hold)
	eventually(t, "the answer", c.session.broken.Load)
	s.Close(c)
	wantLost(t, s, keep.Failed, keyA)
}

// On a filesystem that other machines have as well, the answer comes before the disk is
// given back. Its record says that it is lost as soon as that is known.
func TestFailedWhereShared(t *testing.T) {
	o, now := options(t)
	o.Shared = true
	a, told := failing(&o)
	s := started(t, o)
	d := watch(t, s)
	c := openAs(t, s, keyA, "export", minute, fresh(d))
	put(t, c, 1, 1, 0)
	d.syncErr = unix.EIO
	s.Close(c)
	told.want(t, keyA, 1)
	wantLost(t, s, keep.Failed, keyA)

	c = written(t, s, keyB)
	a.set(unix.EIO, nil)
	now.Pass(askEvery)
	idle(t, s)
	if r := kit.RecordIn(t, o.Path, keyB); r.Lost != keep.Failed {
		t.Errorf("got a record that says %q, want %q", r.Lost, keep.Failed)
	}
	now.Pass(keep.LeaseTime) // so that the next request looks at the record
	kit.Change(t, o.Path, keyB, func(r *record.Record) { r.Orphaned = true })
	wantFailed(t, c)
	if r := kit.RecordIn(t, o.Path, keyB); r.Lost != keep.Failed || r.Orphaned {
		t.Errorf("got the record %+v, want it lost, and no orphan", r)
	}
	s.Close(c)
	wantLost(t, s, keep.Failed, keyB)
	wantDisks(t, s, nil, keyA, keyB)
}

// A real filesystem whose device has no more room for what it had promised room for.
func TestFailedDevice(t *testing.T) {
	store := kit.Mount(t, "-t", "tmpfs", "-o", "size=24M", "tmpdisk-test")
	image := filepath.Join(store, "image")
	f, err := os.Create(image)
	if err == nil {
		err = f.Truncate(200 << 20)
		f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	kit.Run(t, "mkfs.ext4", "-qF", "-E", "lazy_itable_init=1,nodiscard", "-O", "^has_journal", image)
	o, now := options(t)
	o.Path = kit.Mount(t, "-o", "loop,errors=continue", image)
	s := started(t, o)
	usedAs(t, s, keyC, "export", seconds(3600))
	idle(t, s)
	makeDisk := kit.Blank(o.Path, 64<<20)
	connected := openAs(t, s, keyA, "export", minute, makeDisk)
	leaves := openAs(t, s, keyB, "export", minute, makeDisk)
	for _, c := range []*Conn{connected, leaves} {
		block := make([]byte, 1<<20)
		for i := range block {
			block[i] = byte(i) | 1
		}
		for i := range 40 {
			if err := c.PWrite(block, uint64(i)<<20, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.Close(leaves)
	idle(t, s)
	now.Pass(askEvery)
	idle(t, s)
	if !connected.Failed() {
		t.Error("the connected client's disk has not failed")
	}
	if err := connected.Flush(); !errors.Is(err, unix.EIO) {
		t.Errorf("flush: got %v, want EIO", err)
	}
	s.Close(connected)
	wantLost(t, s, keep.Failed, keyA, keyB)
	wantResumed(t, s, keyC)
	idle(t, s)
}
