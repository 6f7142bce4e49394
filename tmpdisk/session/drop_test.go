// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
)

// blocks keep the disk of keyA from being removed, or that and all others, until they are
// undone.
var blocks = map[string]struct {
	all   bool // keyB's as well
	says  string
	block func(t *testing.T, parent string) (undo func())
}{
	"the directory is immutable": {true, "operation not permitted", func(t *testing.T, parent string) func() {
		return immutable(t, kit.Path(parent, ""))
	}},
	"the disk is immutable": {false, "operation not permitted", func(t *testing.T, parent string) func() {
		return immutable(t, kit.Path(parent, kit.DiskOf(keyA)))
	}},
	"the filesystem is read-only": {true, "read-only file system", func(t *testing.T, parent string) func() {
		kit.Run(t, "mount", "-o", "remount,bind,ro", parent)
		return func() { kit.Run(t, "mount", "-o", "remount,bind,rw", parent) }
	}},
	"another server has it": {false, "", func(t *testing.T, parent string) func() {
		unlock, ok := kit.Lock(t, kit.Path(parent, kit.DiskOf(keyA)))
		if !ok {
			t.Fatal("got no lock")
		}
		return unlock
	}},
}

func immutable(t *testing.T, path string) (undo func()) {
	kit.Run(t, "chattr", "+i", path)
	undo = func() { kit.Run(t, "chattr", "-i", path) }
	t.Cleanup(undo)
	return undo
}

// stuck returns a server with two disks, keyA's the older, that cannot be dropped.
func stuck(t *testing.T, says string, block func(*testing.T, string) func()) (s *Sessions, pass func(time.Duration), undo func(), wantSaid func()) {
	o, now := options(t)
	o.Path = kit.Mount(t, "--bind", o.Path)
	times := 0
	o.LogError = func(line string) {
		if strings.Contains(line, "cannot be dropped") && strings.Contains(line, says) {
			times++
		}
	}
	s = started(t, o)
	used(t, s, keyA)
	now.Pass(time.Second)
	used(t, s, keyB)
	undo = block(t, o.Path)
	wantSaid = func() {
		t.Helper()
		if want := len(says); (want > 0) != (times > 0) || times > 2 {
			t.Errorf("got it said %d times that a disk cannot be dropped, want once for each", times)
		}
	}
	return s, now.Pass, undo, wantSaid
}

// A disk that cannot be removed when its grace is over is tried again, and stays until
// then.
func TestDropThatFails(t *testing.T) {
	for name, tt := range blocks {
		t.Run(name, func(t *testing.T) {
			s, pass, undo, wantSaid := stuck(t, tt.says, tt.block)
			pass(minute.Grace)
			for range 10 {
				if !kit.Exists(s.opts.Path, kit.DiskOf(keyA)) || kit.Exists(s.opts.Path, kit.DiskOf(keyB)) != tt.all {
					t.Fatal("the disk is gone that could not be dropped, or the other one is not")
				}
				wantWaiting(t, s, "not dropped", map[bool][]keep.Key{true: {keyA, keyB}, false: {keyA}}[tt.all]...)
				pass(mostPause)
			}
			wantSaid()
			undo()
			pass(mostPause)
			wantLost(t, s, keep.Expired, keyA, keyB)
			wantDisks(t, s, nil, keyA, keyB)
		})
	}
}

// A disk that cannot be removed to make room is its client's still, and the next one goes.
func TestEvictionThatFails(t *testing.T) {
	for name, tt := range blocks {
		t.Run(name, func(t *testing.T) {
			s, _, undo, wantSaid := stuck(t, tt.says, tt.block)
			if freed, ok := s.DropOldest(0); ok == tt.all || (freed > 0) == tt.all {
				t.Errorf("got %d bytes freed, %v, want the other one dropped %v", freed, ok, !tt.all)
			}
			wantSaid()
			undo()
			wantResumed(t, s, keyA)
			if tt.all {
				wantResumed(t, s, keyB)
			} else {
				wantLost(t, s, keep.Evicted, keyB)
			}
		})
	}
}

// A disk that a server has noted as lost, before it died, goes at once.
func TestDropOfWhatIsLostAlready(t *testing.T) {
	s, now := server(t)
	used(t, s, keyA)
	now.Pass(minute.Grace / 2)
	change(t, s, func(r *record.Record) { r.Lost, r.Used, r.Uptime = keep.Evicted, now.Now(), now.SinceBoot() })
	now.Pass(minute.Grace / 2)
	wantDisks(t, s, nil, keyA)
}

// A damaged disk goes when its grace is over even if there is no room for a note but its
// own.
func TestDropOfDamagedWhereItIsFull(t *testing.T) {
	o, now := options(t)
	o.Path = kit.Mount(t, "-t", "tmpfs", "-o", "size=256k", "tmpdisk-test")
	s := started(t, o)
	c := begin(t, s, keyA)
	err := c.PWrite(make([]byte, 64<<10), 0, false)
	s.Close(c)
	if err = errors.Join(err, os.Truncate(kit.Path(o.Path, kit.RecordOf(keyA)), 0)); err != nil {
		t.Fatal(err)
	}
	fill(t, o.Path)
	wantLost(t, s, keep.Damaged, keyA)
	now.Pass(minute.Grace)
	wantLost(t, s, keep.Expired, keyA)
	wantDisks(t, s, nil, keyA)
}

// Another server that has the directory's lock, and is stopped, holds a client up for no
// longer than that has patience, and none whose disk is there.
func TestOpenWhileTheDirectoryIsLocked(t *testing.T) {
	s, _ := server(t)
	used(t, s, keyA)
	unlock, ok := kit.Lock(t, kit.Path(s.opts.Path, ""))
	if !ok {
		t.Fatal("got no lock")
	}
	_, err := s.Open(short(t), keyB, "", minute, blank(s))
	if err == nil || errors.Is(err, unix.EBUSY) {
		t.Errorf("got %v, want the client's timeout", err)
	}
	wantResumed(t, s, keyA)
	unlock()
	used(t, s, keyB)
	wantDisks(t, s, keys{keyA, keyB})
}

// No disk is dropped for somebody who needs more than all of them have.
func TestDropsThatCannotHelp(t *testing.T) {
	s, _ := server(t)
	used(t, s, keyA, keyB)
	a, _ := s.Space(keyA)
	b, _ := s.Space(keyB)
	if a == 0 || b == 0 {
		t.Fatalf("got %d and %d bytes, want some", a, b)
	}
	if freed, ok := s.DropOldest(a + b + 1); ok {
		t.Errorf("got %d bytes freed", freed)
	}
	wantDisks(t, s, keys{keyA, keyB})
	if freed, ok := s.DropOldest(a + b); !ok || freed != a {
		t.Errorf("got %d bytes freed, %v, want %d", freed, ok, a)
	}
}

// An untouched disk that cannot be discarded is there still, as a whole, and is looked
// after.
func TestDiscardThatFails(t *testing.T) {
	for name, file := range map[string]string{"the disk stays": kit.DiskOf(keyA), "the record stays": kit.RecordOf(keyA)} {
		t.Run(name, func(t *testing.T) {
			o, now := options(t)
			s := started(t, o)
			c := begin(t, s, keyA)
			undo := immutable(t, kit.Path(o.Path, file))
			s.Close(c)
			undo()
			used(t, s, keyA)
			wantResumed(t, s, keyA)
			now.Pass(lookPause.Last)
			wantLost(t, s, keep.Expired, keyA)
			wantDisks(t, s, nil, keyA)
		})
	}
}
