// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
)

const testSize = 1 << 20

// blank makes a disk that is an unnamed file in dir.
func blank(t testing.TB, dir string, size int64) func(context.Context) (Disk, error) {
	return func(context.Context) (Disk, error) {
		fd, err := sparse.Unnamed(dir, false)
		if err != nil {
			return nil, err
		}
		if err := unix.Ftruncate(fd, size); err != nil {
			unix.Close(fd)
			return nil, err
		}
		return disk.FromFD(fd, testkit.Quiet)
	}
}

// dirOptions are for sessions in parent.
func dirOptions(t testing.TB, c *clock, parent string) Options {
	o := testOptions(t, c)
	o.Dir, o.boot = parent, "this-boot"
	return o
}

// dies drops a server as kill -9 does: nothing is written, and the kernel closes
// its files.
func dies(s *Sessions) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	s.stop()
	for _, mine := range s.live {
		mine.held.disk.Close()
	}
}

func inParent(parent, name string) string {
	return filepath.Join(testkit.PrivateDir(parent, Directories.Name), name)
}

// wantFiles fails the test unless these, without their KEY, are all there are.
func wantFiles(t testing.TB, parent string, want ...string) {
	t.Helper()
	names := testkit.Names(t, testkit.PrivateDir(parent, Directories.Name))
	if !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

func diskOf(k Key) string   { return string(k) + ".disk" }
func recordOf(k Key) string { return string(k) + ".json" }

// change rewrites the record of key as another server could.
func change(t testing.TB, parent string, key Key, f func(*record)) {
	t.Helper()
	path := inParent(parent, recordOf(key))
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r record
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	f(&r)
	if err := os.WriteFile(path, r.encode(), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDirOutlivesTheServer(t *testing.T) {
	for name, end := range map[string]func(*Sessions){"stopped": (*Sessions).Stop, "killed": dies} {
		t.Run(name, func(t *testing.T) {
			parent := t.TempDir()
			s := started(t, dirOptions(t, nil, parent))
			c := open(t, s, keyA, blank(t, parent, testSize))
			put(t, c, 1, 1, 7)
			if name == "stopped" {
				s.Close(c)
			}
			end(s)
			s = started(t, dirOptions(t, nil, parent))
			s.Close(open(t, s, keyA, none)) // by a client that only looks
			c = open(t, s, keyA, none)
			wantBlock(t, c, 1, 1, 7)
			if got := c.Size(); got != testSize {
				t.Errorf("got size %d, want %d", got, testSize)
			}
			if got := c.session.held.Generation; got != 3 {
				t.Errorf("got generation %d, want 3", got)
			}
			s.Close(c)
			s.Stop()
			wantFiles(t, parent, diskOf(keyA), recordOf(keyA))
		})
	}
}

// After the grace and the forgetting, nothing is left; by a server that starts as
// by one that runs.
func TestDirIsEmptyInTheEnd(t *testing.T) {
	for name, restart := range map[string]bool{"running": false, "started anew": true} {
		t.Run(name, func(t *testing.T) {
			parent, now := t.TempDir(), newClock()
			o := dirOptions(t, now, parent)
			s := started(t, o)
			used(t, s, keyA, must(blank(t, parent, testSize)), 1)
			s.Close(open(t, s, keyB, blank(t, parent, testSize))) // untouched
			wantFiles(t, parent, diskOf(keyA), recordOf(keyA))
			for _, pass := range []struct {
				d    time.Duration
				want []string
			}{{minute.Grace + 1, []string{recordOf(keyA)}}, {o.Forget, []string{}}} {
				if restart {
					s.Stop()
				}
				now.pass(pass.d)
				if restart {
					s = started(t, o)
					now.pass(0)
				}
				wantFiles(t, parent, pass.want...)
				if len(pass.want) > 0 {
					wantLost(t, s, keyA, Expired)
				}
			}
			used(t, s, keyA, must(blank(t, parent, testSize)), 1)
			s.Stop()
		})
	}
}

func must(make func(context.Context) (Disk, error)) Disk {
	d, err := make(context.Background())
	if err != nil {
		panic(err)
	}
	return d
}

// A server whose client was connected when it died gives all of the grace.
func TestGraceBeginsAnew(t *testing.T) {
	parent, now := t.TempDir(), newClock()
	s := started(t, dirOptions(t, now, parent))
	put(t, open(t, s, keyA, blank(t, parent, testSize)), 1, 1, 0)
	now.pass(24 * time.Hour)
	dies(s)
	s = started(t, dirOptions(t, now, parent))
	now.pass(time.Minute - 1)
	c := open(t, s, keyA, none)
	wantBlock(t, c, 1, 1, 0)
	s.Close(c)
	now.pass(time.Minute)
	wantLost(t, s, keyA, Expired)
}

func TestAnotherBoot(t *testing.T) {
	tests := []struct {
		name             string
		before, now      bool // session-sync
		connected, fails bool
	}{
		{"without sync, connected", false, false, true, true},
		{"without sync, waiting", false, false, false, true},
		{"with sync, connected", true, true, true, false},
		{"with sync, waiting", true, true, false, false},
		{"sync comes too late", false, true, true, true},
		{"sync is no longer asked for", true, false, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			parent := t.TempDir()
			o := dirOptions(t, nil, parent)
			o.Sync = tt.before
			s := started(t, o)
			c := open(t, s, keyA, blank(t, parent, testSize))
			put(t, c, 1, 1, 0)
			if !tt.connected {
				s.Close(c)
			}
			dies(s)
			o.Sync, o.boot = tt.now, "another-boot"
			s = started(t, o)
			if tt.fails {
				wantLost(t, s, keyA, Crashed)
				wantFiles(t, parent, recordOf(keyA))
				return
			}
			c = open(t, s, keyA, none)
			wantBlock(t, c, 1, 1, 0)
			if got := c.session.held.Sync; got != tt.now {
				t.Errorf("got sync %v in the record, want %v", got, tt.now)
			}
			s.Close(c)
		})
	}
}

// The token is a password, and the directory tells it to nobody.
func TestDirHidesTheToken(t *testing.T) {
	parent := t.TempDir()
	s := started(t, dirOptions(t, nil, parent))
	key := NewKey("export", "secret-token", "1.2.3.4")
	used(t, s, key, must(blank(t, parent, testSize)), 1)
	for _, name := range testkit.Names(t, testkit.PrivateDir(parent, Directories.Name)) {
		info, err := os.Stat(inParent(parent, name))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: got mode %v, %v, want 0600", name, info.Mode(), err)
		}
		if text, _ := os.ReadFile(inParent(parent, name)); strings.Contains(name+string(text), "secret") {
			t.Errorf("%s tells the token", name)
		}
	}
}
