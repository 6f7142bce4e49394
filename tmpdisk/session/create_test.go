// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// ready is a disk with something on it.
func ready(t *testing.T, make func(context.Context) (Disk, error)) Disk {
	t.Helper()
	d, err := make(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Do(disk.Request{Op: disk.Write, Buf: block(5, 5), Offset: 5 * blockSize}); err != nil {
		t.Fatal(err)
	}
	return d
}

// removed is a disk whose file had a name, which cannot be given back to it.
func removed(dir string) func(context.Context) (Disk, error) {
	return func(context.Context) (Disk, error) {
		path := filepath.Join(dir, "disk")
		if err := os.WriteFile(path, make([]byte, testSize), 0o666); err != nil {
			return nil, err
		}
		defer os.Remove(path)
		return disk.Open(path, testkit.Quiet)
	}
}

// anothers is a disk whose file belongs to the user that a command ran as.
func anothers(t *testing.T, dir string) func(context.Context) (Disk, error) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	return func(ctx context.Context) (Disk, error) {
		d, err := blank(t, dir, testSize)(ctx)
		if err == nil {
			err = unix.Fchown(d.FD(), 12345, 12345)
		}
		return d, err
	}
}

// However a fresh disk gets into the directory, what is on it comes along.
func TestCreate(t *testing.T) {
	parent := t.TempDir()
	tests := []struct {
		name  string
		make  func(t *testing.T) func(context.Context) (Disk, error)
		moves bool // it stays the same file
	}{
		{"unnamed, here", func(t *testing.T) func(context.Context) (Disk, error) { return blank(t, parent, testSize) }, true},
		{"removed, here", func(t *testing.T) func(context.Context) (Disk, error) { return removed(parent) }, false},
		{"another user's, here", func(t *testing.T) func(context.Context) (Disk, error) { return anothers(t, parent) }, false},
		{"unnamed, on a tmpfs", func(t *testing.T) func(context.Context) (Disk, error) {
			return blank(t, testkit.Tmpfs(t, "4M"), testSize)
		}, false},
		{"removed, on a tmpfs", func(t *testing.T) func(context.Context) (Disk, error) { return removed(testkit.Tmpfs(t, "4M")) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := ready(t, tt.make(t))
			s := started(t, dirOptions(t, nil, parent))
			key := NewKey("create", tt.name, "")
			c := open(t, s, key, fresh(d))
			if got := c.Disk() == d; got != tt.moves {
				t.Errorf("got the same file %v, want %v", got, tt.moves)
			}
			wantBlock(t, c, 5, 5, 5)
			put(t, c, 6, 6, 6)
			dies(s)
			s = started(t, dirOptions(t, nil, parent))
			c = open(t, s, key, none)
			wantBlock(t, c, 5, 5, 5)
			wantBlock(t, c, 6, 6, 6)
			if info, err := os.Stat(inParent(parent, diskOf(key))); err != nil || info.Mode() != 0o600 || info.Size() != testSize {
				t.Errorf("got %v, %v, want mode 0600 and %d bytes", info, err, testSize)
			}
			s.Close(c)
			s.Stop()
		})
	}
}

// A filesystem that is full takes no session, and nothing is left of it there.
func TestCreateWhereItIsFull(t *testing.T) {
	parent := testkit.Tmpfs(t, "256k")
	chmodPrivate(t, parent)
	d := ready(t, blank(t, t.TempDir(), testSize))
	buf := make([]byte, testSize/2)
	for i := range buf {
		buf[i] = byte(i) | 1
	}
	if err := d.Do(disk.Request{Op: disk.Write, Buf: buf}); err != nil {
		t.Fatal(err)
	}
	s := started(t, dirOptions(t, nil, parent))
	_, err := s.Open(context.Background(), keyA, "", minute, fresh(d))
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v, want ENOSPC", err)
	}
	testkit.Contains(t, err, "session-dir", parent)
	wantFiles(t, parent)
	used(t, s, keyA, must(blank(t, t.TempDir(), 4096)), 1)
	closeKeeper(s)
}

// Where a client has filled the filesystem, its disk can go all the same, and
// not without a note.
func TestDropWhereItIsFull(t *testing.T) {
	parent, now := testkit.Tmpfs(t, "256k"), newClock()
	chmodPrivate(t, parent)
	s := started(t, dirOptions(t, now, parent))
	c := open(t, s, keyA, blank(t, parent, testSize))
	buf := make([]byte, 4096)
	var err error
	for at := uint64(0); err == nil && at < testSize; at += uint64(len(buf)) {
		err = c.PWrite(buf, at, false)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("got %v, want ENOSPC", err)
	}
	s.Close(c)
	now.pass(minute.Grace)
	wantFiles(t, parent, recordOf(keyA))
	wantLost(t, s, keyA, Expired)
	closeKeeper(s)
}

func chmodPrivate(t *testing.T, dir string) {
	t.Helper()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
}

// closeKeeper frees the directory, so that it can be unmounted.
func closeKeeper(s *Sessions) {
	s.Stop()
	s.keeper.(*dir).open.Close()
}

func TestCreateOfDevice(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to make a loop device")
	}
	backing := filepath.Join(t.TempDir(), "backing")
	if err := os.WriteFile(backing, make([]byte, testSize), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", backing).Output()
	if err != nil {
		t.Skipf("needs losetup: %v", err)
	}
	device := strings.TrimSpace(string(out))
	defer exec.Command("losetup", "--detach", device).Run()
	parent := t.TempDir()
	d, err := disk.Open(device, testkit.Quiet)
	if err != nil {
		t.Fatal(err)
	}
	s := started(t, dirOptions(t, nil, parent))
	_, err = s.Open(context.Background(), keyA, "", minute, fresh(d))
	testkit.Contains(t, err, "session-dir", "block device", "have it make a file")
	wantFiles(t, parent)
}

// What cannot be made anew is as unknown as before.
func TestCreateFails(t *testing.T) {
	parent := t.TempDir()
	s := started(t, dirOptions(t, nil, parent))
	want := errors.New("no room")
	_, err := s.Open(context.Background(), keyA, "", minute, func(context.Context) (Disk, error) { return nil, want })
	if !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	wantFiles(t, parent)
	used(t, s, keyA, must(blank(t, parent, testSize)), 1)
}
