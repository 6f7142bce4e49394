// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestMain(m *testing.M) {
	if parent := os.Getenv(childEnv); parent != "" {
		beKilled(parent)
	}
	os.Exit(m.Run())
}

const blockSize = 16

// block is what a test writes: who did it, and which of its writes it was.
func block(conn, seq int) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(conn))
	return binary.BigEndian.AppendUint64(b, uint64(seq))
}

func unblock(b []byte) (conn, seq int) {
	return int(binary.BigEndian.Uint64(b)), int(binary.BigEndian.Uint64(b[8:]))
}

// event is the beginning or the end of a write.
type event struct {
	conn, seq int
	ends      bool
}

// fakeDisk has blocks in memory, and a log of who wrote.
type fakeDisk struct {
	Disk    // nil: what is not below is not called
	mu      sync.Mutex
	content []byte
	log     []event
	hold    chan struct{} // writes wait until it is closed, unless it is nil
	syncErr error

	touched, closed atomic.Bool
}

func newFake() *fakeDisk { return &fakeDisk{content: make([]byte, 64*blockSize)} }

func (d *fakeDisk) Size() int64   { return int64(len(d.content)) }
func (d *fakeDisk) Space() uint64 { return uint64(len(d.content)) }
func (d *fakeDisk) Touched() bool { return d.touched.Load() }
func (d *fakeDisk) Sync() error   { return d.syncErr }

func (d *fakeDisk) Close() error {
	if d.closed.Swap(true) {
		return errors.New("closed twice")
	}
	return nil
}

func (d *fakeDisk) Do(r disk.Request) error {
	switch r.Op {
	case disk.Read:
		return d.read(r.Buf, r.Offset)
	case disk.Write:
		return d.write(r.Buf, r.Offset)
	}
	return nil
}

func (d *fakeDisk) read(buf []byte, off uint64) error {
	d.use()
	d.mu.Lock()
	defer d.mu.Unlock()
	copy(buf, d.content[off:])
	return nil
}

func (d *fakeDisk) write(buf []byte, off uint64) error {
	d.use()
	conn, seq := unblock(buf)
	d.mu.Lock()
	d.log = append(d.log, event{conn, seq, false})
	hold := d.hold
	d.mu.Unlock()
	if hold != nil {
		<-hold
	}
	runtime.Gosched()
	d.mu.Lock()
	defer d.mu.Unlock()
	copy(d.content[off:], buf)
	d.log = append(d.log, event{conn, seq, true})
	return nil
}

func (d *fakeDisk) use() {
	d.touched.Store(true)
	if d.closed.Load() {
		panic("a request came after the disk was closed")
	}
}

func (d *fakeDisk) events() []event {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]event(nil), d.log...)
}

// clock is a time that passes when it is told to.
type clock struct {
	mu     sync.Mutex
	at     time.Time
	timers map[int]timer
	next   int
}

type timer struct {
	at time.Time
	f  func()
}

func newClock() *clock { return &clock{at: time.Unix(1e9, 0), timers: map[int]timer{}} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) after(d time.Duration, f func()) func() {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.next
	c.next++
	c.timers[n] = timer{c.at.Add(d), f}
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.timers, n)
	}
}

// pass lets d pass, and returns when everything that was due has been done.
func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	c.at = c.at.Add(d)
	for {
		var due func()
		for n, t := range c.timers {
			if !t.at.After(c.at) {
				due = t.f
				delete(c.timers, n)
				break
			}
		}
		c.mu.Unlock()
		if due == nil {
			return
		}
		due()
		c.mu.Lock()
	}
}

// minute is the policy that tests have where it does not matter.
var minute = Policy{Grace: time.Minute}

// freshMinute has a fresh disk take a lost one's place.
var freshMinute = Policy{Grace: time.Minute, Fresh: true}

// testOptions are a server's in a test, with every limit out of reach.
func testOptions(t testing.TB, c *clock) Options {
	o := Options{
		Grace: func(string) time.Duration { return minute.Grace }, Forget: time.Hour, Max: 1000,
		Debug: testkit.Quiet, LogError: func(msg string) { t.Log("error: " + msg) },
	}
	if c != nil {
		o.now, o.after = c.now, c.after
	}
	return o
}

func started(t testing.TB, o Options) *Sessions {
	t.Helper()
	s := New(o)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s
}

// fresh makes d.
func fresh(d Disk) func(context.Context) (Disk, error) {
	return func(context.Context) (Disk, error) { return d, nil }
}

// none fails: there is to be no fresh disk.
func none(context.Context) (Disk, error) { return nil, errors.New("a fresh disk was asked for") }

func open(t testing.TB, s *Sessions, key Key, make func(context.Context) (Disk, error)) *Conn {
	t.Helper()
	return openAs(t, s, key, "export", minute, make)
}

func openAs(t testing.TB, s *Sessions, key Key, export string, policy Policy, make func(context.Context) (Disk, error)) *Conn {
	t.Helper()
	c, err := s.Open(context.Background(), key, export, policy, make)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Requests as tests make them.

func flags(fua bool) disk.Flags {
	if fua {
		return disk.FUA
	}
	return 0
}

func (c *Conn) PRead(buf []byte, off uint64) error {
	return c.Do(disk.Request{Op: disk.Read, Buf: buf, Offset: off})
}

func (c *Conn) PWrite(buf []byte, off uint64, fua bool) error {
	return c.Do(disk.Request{Op: disk.Write, Flags: flags(fua), Buf: buf, Offset: off})
}

func (c *Conn) Trim(count uint32, off uint64, fua bool) error {
	return c.Do(disk.Request{Op: disk.Trim, Flags: flags(fua), Count: count, Offset: off})
}

// Zero may trim.
func (c *Conn) Zero(count uint32, off uint64, fast disk.Flags, fua bool) error {
	return c.Do(disk.Request{Op: disk.Zero, Flags: disk.MayTrim | fast | flags(fua), Count: count, Offset: off})
}

func (c *Conn) Flush() error { return c.Do(disk.Request{Op: disk.Flush}) }

func put(t testing.TB, c *Conn, conn, seq, at int) {
	t.Helper()
	if err := c.PWrite(block(conn, seq), uint64(at*blockSize), false); err != nil {
		t.Fatal(err)
	}
}

// wantBlock reads what put wrote.
func wantBlock(t testing.TB, c *Conn, conn, seq, at int) {
	t.Helper()
	buf := make([]byte, blockSize)
	if err := c.PRead(buf, uint64(at*blockSize)); err != nil {
		t.Fatal(err)
	}
	if gotConn, gotSeq := unblock(buf); gotConn != conn || gotSeq != seq {
		t.Errorf("block %d: got %d/%d, want %d/%d", at, gotConn, gotSeq, conn, seq)
	}
}

// wantLost fails the test unless key is refused for why.
func wantLost(t testing.TB, s *Sessions, key Key, why Reason) {
	t.Helper()
	c, err := s.Open(context.Background(), key, "export", minute, none)
	var lost *LostError
	if !errors.As(err, &lost) || lost.Reason != why {
		t.Errorf("session %s: got %v, want it lost: %s", key.Short(), err, why)
	}
	if err == nil {
		s.Close(c)
	}
}

var keyA, keyB, keyC = NewKey("e", "a", ""), NewKey("e", "b", ""), NewKey("e", "c", "")

// spawn runs f on a goroutine of all's.
func spawn(all *sync.WaitGroup, f func()) {
	all.Add(1)
	go func() {
		defer all.Done()
		f()
	}()
}
