// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
)

// impatiently has nobody wait for descriptors in a test.
func impatiently(t *testing.T) {
	old := record.Patience
	record.Patience = 0
	t.Cleanup(func() { record.Patience = old })
}

// withoutDescriptors runs f while no file can be opened.
func withoutDescriptors(t *testing.T, f func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	f()
}

// A server that is short of descriptors fails the flush, and not the session;
// one whose filesystem failed does both.
func TestFlushThatFails(t *testing.T) {
	path := func(s *Sessions) string { return kit.Path(s.opts.Path, kit.RecordOf(keyA)) }
	tests := []struct {
		name   string
		sync   error
		before func(t *testing.T, s *Sessions)
		want   error
		cut    bool
	}{
		{"nothing", nil, nil, nil, false},
		{"no record", nil, func(t *testing.T, s *Sessions) { os.Remove(path(s)) }, unix.ENOENT, false},
		{"record unreadable", nil, func(t *testing.T, s *Sessions) { os.Truncate(path(s), 7) }, record.ErrDamaged, false},
		{"overtaken", nil, func(t *testing.T, s *Sessions) { overtake(t, s) }, keep.ErrOvertaken, true},
		{"page not written", unix.EIO, nil, unix.EIO, true},
		{"no room for a page", unix.ENOSPC, nil, unix.ENOSPC, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			impatiently(t)
			o, _ := options(t)
			o.Sync = true
			s := started(t, o)
			d := watch(t, s)
			c := openAs(t, s, keyA, "", minute, fresh(d))
			withoutDescriptors(t, func() {
				if err := c.Flush(); !errors.Is(err, unix.EMFILE) || c.session.broken.Load() {
					t.Errorf("without descriptors: got %v, cut off %v, want EMFILE", err, c.session.broken.Load())
				}
			})
			d.syncErr = tt.sync
			if tt.before != nil {
				tt.before(t, s)
			}
			if err := c.Flush(); !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Errorf("flush: got %v, want %v", err, tt.want)
			}
			if err := c.PWrite(kit.Block(1, 1), 0, true); (err == nil) != (tt.want == nil) {
				t.Errorf("write with FUA: got %v, want %v", err, tt.want)
			}
			if got := c.session.broken.Load(); got != tt.cut {
				t.Errorf("got the session cut off %v, want %v", got, tt.cut)
			}
			s.Close(c)
		})
	}
}

// A server that is short of descriptors for a moment, as in a burst of connections, has
// its connected clients' flushes wait.
func TestFlushInABurst(t *testing.T) {
	for name, shared := range map[string]bool{"": false, "where others have it": true} {
		t.Run(name, func(t *testing.T) {
			o, now := options(t)
			o.Sync, o.Shared = true, shared
			s := started(t, o)
			d := watch(t, s)
			c := openAs(t, s, keyA, "export", minute, fresh(d))
			var all sync.WaitGroup
			var over atomic.Bool
			spawn(&all, func() {
				for flushed := 0; !over.Load() || flushed == 0; flushed++ {
					before := d.synced.Load()
					if err := c.Flush(); err != nil || d.synced.Load() == before || c.session.broken.Load() {
						t.Errorf("got %v, synced %v, want it to wait", err, d.synced.Load() != before)
						return
					}
				}
			})
			// Each flush opens files, one after the other.
			for range 200_000 {
				withoutDescriptors(t, func() {})
			}
			over.Store(true)
			all.Wait()
			put(t, c, 1, 1, 0)
			impatiently(t)
			withoutDescriptors(t, func() {
				if err := c.Flush(); !errors.Is(err, unix.EMFILE) || c.session.broken.Load() {
					t.Errorf("a long one: got %v, cut off %v, want EMFILE", err, c.session.broken.Load())
				}
				s.Close(c)
			})
			c = taken(t, s, now)
			wantBlock(t, c, 1, 1, 0)
			s.Close(c)
		})
	}
}

// A record that is out of reach for one flush fails that one. Nothing else becomes of the
// session, whose disk has all that was flushed.
func TestFlushWhileTheRecordIsAway(t *testing.T) {
	for name, tt := range map[string]struct{ away, back func(path string) error }{
		"moved":           {func(path string) error { return os.Rename(path, path+"-away") }, func(path string) error { return os.Rename(path+"-away", path) }},
		"for all to read": {mode, func(path string) error { return os.Chmod(path, 0o600) }},
	} {
		for when, shared := range map[string]bool{"": false, ", where others have it": true} {
			t.Run(name+when, func(t *testing.T) {
				o, now := options(t)
				o.Sync, o.Shared = true, shared
				s := started(t, o)
				c := written(t, s, keyA)
				path := kit.Path(o.Path, kit.RecordOf(keyA))
				if err := errors.Join(c.Flush(), tt.away(path)); err != nil {
					t.Fatal(err)
				}
				var first syscall.Errno // is what the client is told
				if err := c.Flush(); !errors.As(err, &first) || first != unix.EIO {
					t.Errorf("a flush without a record: got %v, want EIO", err)
				}
				if err := tt.back(path); err != nil {
					t.Fatal(err)
				}
				if err := c.PWrite(kit.Block(1, 1), 0, true); err != nil {
					t.Errorf("afterwards: %v", err)
				}
				s.Close(c)
				c = taken(t, s, now)
				wantBlock(t, c, 1, 1, 0)
				s.Close(c)
			})
		}
	}
}

// A disk that lacks what was written does not come back only because no note
// could be written when its client left.
func TestFailedDiskWithoutNote(t *testing.T) {
	impatiently(t)
	o, _ := options(t)
	o.Sync = true
	s := started(t, o)
	c := written(t, s, keyA)
	c.session.fail(unix.EIO)
	withoutDescriptors(t, func() { s.Close(c) })
	wantLost(t, s, keep.Failed, keyA)
	wantDisks(t, s, nil, keyA)

	// Another disk of that name has not failed.
	usedAs(t, s, keyA, "export", freshMinute)
	wantResumed(t, s, keyA)

	c = written(t, s, keyB)
	c.session.fail(unix.EIO)
	withoutDescriptors(t, func() { s.Close(c) })
	if err := os.Remove(kit.Path(o.Path, kit.DiskOf(keyB))); err != nil {
		t.Fatal(err)
	}
	usedAs(t, s, keyB, "export", freshMinute)
	wantResumed(t, s, keyB)
}

// A clock that is set back keeps no disk for good.
func TestClockSetBack(t *testing.T) {
	for name, by := range map[string]time.Duration{"a little": time.Second, "a grace": time.Minute, "a year": 365 * 24 * time.Hour} {
		for boot, uptime := range map[string]time.Duration{"since the boot": by, "unknown since the boot": 0} {
			t.Run(name+", "+boot, func(t *testing.T) {
				s, now := server(t)
				used(t, s, keyA)
				change(t, s, func(r *record.Record) {
					r.Used = r.Used.Add(by)
					if uptime == 0 {
						r.Uptime = 0
					}
				})
				for range 3 {
					now.Pass(minute.Grace)
				}
				wantLost(t, s, keep.Expired, keyA)
				wantDisks(t, s, nil, keyA)
			})
		}
	}
}

// A clock that is set forward makes no server forget what it found.
func TestClockSetForward(t *testing.T) {
	o, _ := options(t)
	o.Clock = nil
	s := started(t, o)
	used(t, s, keyA)
	s.DropOldest(0)
	s.Stop()
	s = started(t, o)
	if _, since, ok := s.lost.First(); !ok || !strings.Contains(since.String(), " m=") {
		t.Errorf("got lost since %v, want a time of the monotonic clock", since)
	}
}

// A server that is short of descriptors when a disk expires drops it later.
func TestDropWithoutDescriptors(t *testing.T) {
	s, now := server(t)
	used(t, s, keyA)
	withoutDescriptors(t, func() { now.Pass(minute.Grace) })
	wantDisks(t, s, keys{keyA})
	now.Pass(minute.Grace)
	wantLost(t, s, keep.Expired, keyA)
	wantDisks(t, s, nil, keyA)
}

// The disks of a server that is killed are dropped by those that go on, whether
// they started before their clients came or after.
func TestDropForTheDead(t *testing.T) {
	o, now := options(t)
	a := started(t, o)
	written(t, a, keyA)
	used(t, a, keyB)
	b := started(t, o)
	resume(t, a, keyB)
	now.Pass(minute.Grace)
	wantDisks(t, a, keys{keyA, keyB})
	dies(a)
	now.Pass(minute.Grace) // is when b notices
	wantResumed(t, b, keyA)
	now.Pass(minute.Grace)
	wantLost(t, b, keep.Expired, keyA, keyB)
	now.Pass(forgetAfter)
	wantDisks(t, b, nil)
}

// To a server that starts later, the grace of the dead one's sessions begins then,
// and it is no longer than others. It is over for a server that starts after it, however
// many have looked meanwhile.
func TestGraceAfterADeath(t *testing.T) {
	o, now := options(t)
	s := started(t, o)
	written(t, s, keyA)
	now.Pass(24 * time.Hour)
	dies(s)
	now.Pass(2 * minute.Grace)
	s = started(t, o)
	now.Pass(minute.Grace / 2)
	dies(s)
	s = started(t, o)
	wantResumed(t, s, keyA) // which begins it anew
	now.Pass(minute.Grace - 1)
	wantDisks(t, s, keys{keyA})

	written(t, s, keyA)
	dies(s)
	s = started(t, o)
	for range 3 { // servers come and die
		now.Pass(minute.Grace / 3)
		wantDisks(t, s, keys{keyA})
		dies(s)
		s = started(t, o)
	}
	now.Pass(1)
	dies(s)
	s = started(t, o)
	wantDisks(t, s, nil, keyA)
	wantLost(t, s, keep.Expired, keyA)
}

// damageNewest flips a bit of the record of keyA that counts, which leaves the one before.
func damageNewest(t *testing.T, s *Sessions) {
	t.Helper()
	path := kit.Path(s.opts.Path, kit.RecordOf(keyA))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before := kit.RecordIn(t, s.opts.Path, keyA)
	for half := range 2 {
		damaged := slices.Clone(text)
		damaged[half*len(text)/2+100] ^= 1
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if now := kit.RecordIn(t, s.opts.Path, keyA); now.Generation != before.Generation || now.Connected != before.Connected || now.Lost != before.Lost {
			return
		}
	}
	t.Fatal("the record that counts is not damaged")
}

// What an older half of a record says removes no disk: its client may have worked since.
func TestHalfOfARecord(t *testing.T) {
	for name, tt := range map[string]struct {
		sync  bool
		leave func(t *testing.T, s *Sessions, now *testkit.Clock)
		lost  bool
	}{
		"waited, and connected since": {false, func(t *testing.T, s *Sessions, now *testkit.Clock) {
			used(t, s, keyA)
			resume(t, s, keyA)
			now.Pass(time.Hour)
		}, false},
		"waited, and connected since, sync": {true, func(t *testing.T, s *Sessions, now *testkit.Clock) {
			used(t, s, keyA)
			resume(t, s, keyA)
			now.Pass(time.Hour)
		}, false},
		"connected, and waits since": {false, func(t *testing.T, s *Sessions, now *testkit.Clock) {
			used(t, s, keyA)
			wantResumed(t, s, keyA)
		}, false},
		"lost, and there again": {false, func(t *testing.T, s *Sessions, now *testkit.Clock) {
			used(t, s, keyA)
			change(t, s, func(r *record.Record) { r.Lost = keep.Evicted; r.Used = r.Used.Add(1) })
			change(t, s, func(r *record.Record) { r.Lost = ""; r.Used = r.Used.Add(1) })
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			o, now := options(t)
			o.Sync = tt.sync
			s := started(t, o)
			tt.leave(t, s, now)
			dies(s)
			damageNewest(t, s)
			for range 2 { // it begins once
				s = started(t, o)
				now.Pass(minute.Grace/2 - 1)
				wantDisks(t, s, keys{keyA})
				dies(s)
			}
			s = started(t, o)
			if tt.lost {
				wantLost(t, s, keep.Damaged, keyA)
				wantDisks(t, s, keys{keyA})
				return
			}
			wantResumed(t, s, keyA)
			now.Pass(minute.Grace)
			wantLost(t, s, keep.Expired, keyA)
		})
	}
}

// A server whose own record is damaged by half is not overtaken, and its client's disk is
// not lost, nor dropped at once when it has left.
func TestHalfOfARecordInUse(t *testing.T) {
	o, now := options(t)
	o.Sync = true
	s := started(t, o)
	used(t, s, keyA)
	now.Pass(time.Second)
	c := resume(t, s, keyA)
	damageNewest(t, s)
	if err := c.Flush(); !errors.Is(err, record.ErrDamaged) {
		t.Errorf("flush: got %v, want it damaged", err)
	}
	put(t, c, 1, 1, 0)
	s.Close(c)
	now.Pass(minute.Grace)
	wantResumed(t, s, keyA)
	c = resume(t, s, keyA)
	if err := c.Flush(); err != nil {
		t.Errorf("flush, with a new record: %v", err)
	}
	s.Close(c)
}

// A disk that has failed, which only this server's memory knows, is not resumed by what
// the record said before.
func TestHalfOfARecordOfAFailedDisk(t *testing.T) {
	o, _ := options(t)
	o.Sync = true
	s := started(t, o)
	used(t, s, keyA)
	c := resume(t, s, keyA)
	c.session.fail(unix.EIO)
	damageNewest(t, s)
	s.Close(c)
	wantLost(t, s, keep.Failed, keyA)
}
