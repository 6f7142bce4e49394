// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/files"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

func TestMain(m *testing.M) {
	if parent := os.Getenv(childEnv); parent != "" {
		beKilled(parent)
	}
	os.Exit(m.Run())
}

var (
	keyA, keyB, keyC = kit.A, kit.B, kit.C
	keyD             = keep.NewKey("e", "d", "")
)

// minute is the policy that tests have where it does not matter.
var minute = Policy{Grace: time.Minute}

// freshMinute has a fresh disk take a lost one's place.
var freshMinute = Policy{Grace: time.Minute, Fresh: true}

// seconds is a policy of that grace.
func seconds(n time.Duration) Policy { return Policy{Grace: n * time.Second} }

// options are a server's in a test, with a session-dir and a time of its own, and every
// limit out of reach.
func options(t testing.TB) (Options, *testkit.Clock) {
	now := testkit.NewClockAt(time.Now()) // files have the real time
	return Options{Max: 1000, Options: files.Options{
		Path: t.TempDir(), Boot: "this-boot", Clock: now, Grace: func(string) time.Duration { return minute.Grace },
		Debug: testkit.Quiet, LogError: func(msg string) { t.Log("error: " + msg) },
	}}, now
}

// started returns a server, which is stopped at the end of the test.
func started(t testing.TB, o Options) *Sessions {
	t.Helper()
	s := New(o)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func server(t testing.TB) (*Sessions, *testkit.Clock) {
	t.Helper()
	o, now := options(t)
	return started(t, o), now
}

// two are servers that share a directory.
func two(t testing.TB, sync bool) (a, b *Sessions, now *testkit.Clock) {
	t.Helper()
	o, now := options(t)
	o.Sync = sync
	return started(t, o), started(t, o), now
}

// dies drops a server as kill -9 does: nothing is written, and the kernel closes
// its files.
func dies(s *Sessions) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.stop()
	for _, stop := range s.repeats {
		stop()
	}
	s.tells.Stop()
	for _, mine := range s.live {
		mine.claim.Disk.Close()
	}
}

// none fails: there is to be no fresh disk.
func none(context.Context) (disk.Interface, error) {
	return nil, errors.New("a fresh disk was asked for")
}

// blank makes a disk for s.
func blank(s *Sessions) kit.Maker { return kit.Blank(s.opts.Path, kit.Size) }

func fresh(d disk.Interface) kit.Maker {
	return func(context.Context) (disk.Interface, error) { return d, nil }
}

func openAs(t testing.TB, s *Sessions, key keep.Key, export string, policy Policy, make kit.Maker) *Conn {
	t.Helper()
	c, err := s.Open(context.Background(), key, export, policy, make)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// begin connects a client to key, which gets a fresh disk if it has none.
func begin(t testing.TB, s *Sessions, key keep.Key) *Conn {
	t.Helper()
	return openAs(t, s, key, "export", minute, blank(s))
}

// written is begin, and block 0 is written.
func written(t testing.TB, s *Sessions, key keep.Key) *Conn {
	t.Helper()
	c := begin(t, s, key)
	put(t, c, 1, 1, 0)
	return c
}

// resume connects a client to key, which must have a disk.
func resume(t testing.TB, s *Sessions, key keep.Key) *Conn {
	t.Helper()
	return openAs(t, s, key, "export", minute, none)
}

// used has a session's disk written to, and lets it wait.
func used(t testing.TB, s *Sessions, keys ...keep.Key) {
	t.Helper()
	for _, key := range keys {
		usedAs(t, s, key, "export", minute)
	}
}

func usedAs(t testing.TB, s *Sessions, key keep.Key, export string, policy Policy) {
	t.Helper()
	c := openAs(t, s, key, export, policy, blank(s))
	put(t, c, 1, 1, 0)
	s.Close(c)
}

func flags(fua bool) disk.Flags {
	if fua {
		return disk.FUA
	}
	return 0
}

// Requests, as the server makes them of what nbdkit says.

func (c *Conn) PRead(buf []byte, off uint64) error {
	return c.Do(disk.Request{Op: disk.Read, Buf: buf, Offset: off})
}

func (c *Conn) PWrite(buf []byte, off uint64, fua bool) error {
	return c.Do(disk.Request{Op: disk.Write, Flags: flags(fua), Buf: buf, Offset: off})
}

func (c *Conn) Trim(count uint32, fua bool) error {
	return c.Do(disk.Request{Op: disk.Trim, Flags: flags(fua), Count: count})
}

func (c *Conn) Zero(count uint32, fast disk.Flags, fua bool) error {
	return c.Do(disk.Request{Op: disk.Zero, Flags: disk.MayTrim | fast | flags(fua), Count: count})
}

func (c *Conn) Extents() error {
	return c.Do(disk.Request{Op: disk.Extents, Count: 1, Add: func(uint64, uint64, bool) error { return nil }})
}

func (c *Conn) Flush() error { return c.Do(disk.Request{Op: disk.Flush}) }

func put(t testing.TB, c *Conn, conn, seq, at int) {
	t.Helper()
	if err := c.PWrite(kit.Block(conn, seq), uint64(at*kit.BlockSize), false); err != nil {
		t.Fatal(err)
	}
}

// wantBlock reads what put wrote.
func wantBlock(t testing.TB, c *Conn, conn, seq, at int) {
	t.Helper()
	buf := make([]byte, kit.BlockSize)
	if err := c.PRead(buf, uint64(at*kit.BlockSize)); err != nil {
		t.Fatal(err)
	}
	if gotConn, gotSeq := kit.Unblock(buf); gotConn != conn || gotSeq != seq {
		t.Errorf("block %d: got %d/%d, want %d/%d", at, gotConn, gotSeq, conn, seq)
	}
}

// wantResumed fails the test unless the disk of key comes back with what used wrote.
func wantResumed(t testing.TB, s *Sessions, keys ...keep.Key) {
	t.Helper()
	for _, key := range keys {
		c := resume(t, s, key)
		wantBlock(t, c, 1, 1, 0)
		s.Close(c)
	}
}

// refused is the error that a client of key gets, who must not get a disk.
func refused(t testing.TB, s *Sessions, key keep.Key) error {
	t.Helper()
	c, err := s.Open(context.Background(), key, "export", minute, none)
	if err == nil {
		s.Close(c)
		t.Fatalf("session %s: got a disk", key.Short())
	}
	return err
}

// wantLost fails the test unless keys are refused for why.
func wantLost(t testing.TB, s *Sessions, why keep.Reason, keys ...keep.Key) {
	t.Helper()
	for _, key := range keys {
		var lost *keep.LostError
		if err := refused(t, s, key); !errors.As(err, &lost) || lost.Reason != why {
			t.Errorf("session %s: got %v, want it lost: %s", key.Short(), err, why)
		}
	}
}

// wantWaiting fails the test unless these wait, and no others.
func wantWaiting(t *testing.T, s *Sessions, when string, want ...keep.Key) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, key := range want {
		if _, ok := s.waiting.All[key]; !ok {
			t.Errorf("%s: session %s does not wait", when, key.Short())
		}
	}
	if got := len(s.waiting.All); got != len(want) || s.waiting.ByEnd.Len() != got {
		t.Errorf("%s: got %d that wait, want %d", when, got, len(want))
	}
}

// wantDisks fails the test unless these sessions have their disk and record, the others
// that are named a note, and there is nothing else.
func wantDisks(t testing.TB, s *Sessions, disks []keep.Key, notes ...keep.Key) {
	t.Helper()
	var want []string
	for _, key := range disks {
		want = append(want, kit.DiskOf(key), kit.RecordOf(key))
	}
	for _, key := range notes {
		want = append(want, kit.RecordOf(key))
	}
	if s.opts.Shared {
		want = append(want, "lock")
	}
	kit.WantFiles(t, s.opts.Path, want...)
}

type keys = []keep.Key

// wantClosed fails the test if this process has a disk of s open, once nobody is asked
// about.
func wantClosed(t *testing.T, s *Sessions) {
	t.Helper()
	eventually(t, "the end of asking", s.writeback.Idle)
	for _, fd := range testkit.Names(t, "/proc/self/fd") {
		if to, _ := os.Readlink(filepath.Join("/proc/self/fd", fd)); strings.HasPrefix(to, s.opts.Path) && strings.Contains(to, ".disk") {
			t.Errorf("%s is still open", to)
		}
	}
}

// event is the beginning or the end of a write.
type event struct {
	conn, seq int
	ends      bool
}

// journal is a log of who wrote.
type journal struct {
	mu   sync.Mutex
	log  []event
	hold chan struct{} // writes wait until it is closed, unless it is nil
}

func (j *journal) add(e event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.log = append(j.log, e)
}

func (j *journal) events() []event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]event(nil), j.log...)
}

// watched is a disk that keeps a journal.
type watched struct {
	disk.Interface
	journal *journal
	syncErr error
	synced  atomic.Int64
	closed  atomic.Bool
}

// watch returns a fresh disk for s.
func watch(t testing.TB, s *Sessions) *watched {
	t.Helper()
	d, err := blank(s)(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return &watched{Interface: d, journal: &journal{}}
}

func (d *watched) Close() error {
	if d.closed.Swap(true) {
		return errors.New("closed twice")
	}
	return d.Interface.Close()
}

func (d *watched) Sync() error {
	d.synced.Add(1)
	return errors.Join(d.syncErr, d.Interface.Sync())
}

func (d *watched) Do(r disk.Request) error {
	if d.closed.Load() {
		panic("a request came after the disk was closed")
	}
	if r.Op == disk.Write {
		conn, seq := kit.Unblock(r.Buf)
		d.journal.add(event{conn, seq, false})
		defer d.journal.add(event{conn, seq, true})
		if d.journal.hold != nil {
			<-d.journal.hold
		}
	}
	return d.Interface.Do(r)
}

// wantOrder fails the test if a connection wrote after one with a higher number
// had begun to.
func wantOrder(t *testing.T, log []event) {
	t.Helper()
	newest := 0
	for i, e := range log {
		if e.conn < newest {
			t.Fatalf("event %d: %+v came after connection %d had begun to write", i, e, newest)
		}
		newest = max(newest, e.conn)
	}
}

// eventually waits for what must come.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for until := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(until) {
			t.Fatalf("%s: it does not come", what)
		}
	}
}

// spawn runs f on a goroutine of all's.
func spawn(all *sync.WaitGroup, f func()) {
	all.Add(1)
	go func() {
		defer all.Done()
		f()
	}()
}
