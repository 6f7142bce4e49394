// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// fill leaves no byte and no inode in dir, as an ordinary user of it would.
func fill(t *testing.T, dir string) {
	t.Helper()
	fd, err := unix.Open(filepath.Join(dir, "filler"), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	at := int64(0)
	for size := int64(64 << 20); size >= 4096; size /= 2 {
		for err = nil; err == nil; at += size {
			err = unix.Fallocate(fd, 0, at, size)
		}
		if at -= size; !errors.Is(err, unix.ENOSPC) {
			t.Fatalf("got %v, want ENOSPC", err)
		}
	}
	for err = nil; err == nil; at += 4096 {
		_, err = unix.Pwrite(fd, bytes.Repeat([]byte{1}, 4096), at)
	}
	for i := 0; i < 10_000 && !errors.Is(err, unix.EEXIST); i++ {
		if err = os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), []byte{1}, 0o600); err != nil {
			break
		}
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("got %v, want ENOSPC", err)
	}
}

// On a filesystem that is full, every session comes back, and can be given back, and is
// lost only when its grace is over.
func TestFull(t *testing.T) {
	image := func(mkfs ...string) func(*testing.T) string {
		return func(t *testing.T) string { return kit.Mount(t, "-o", "loop", kit.Image(t, mkfs...)) }
	}
	tmpfs := func(options string) func(*testing.T) string {
		return func(t *testing.T) string { return kit.Mount(t, "-t", "tmpfs", "-o", options, "tmpdisk-test") }
	}
	for name, mount := range map[string]func(*testing.T) string{
		"tmpfs":                tmpfs("size=256k"),
		"tmpfs without inodes": tmpfs("size=16m,nr_inodes=20"),
		"ext4":                 image("mkfs.ext4", "-qF"),
		"ext4 without inodes":  image("mkfs.ext4", "-qF", "-N", "64"),
		"xfs":                  image("mkfs.xfs", "-qf"),
		"btrfs":                image("mkfs.btrfs", "-qf"),
	} {
		for when, restart := range map[string]bool{"the same server": false, "another server": true} {
			for sync, with := range map[string]bool{"": false, ", sync": true} {
				t.Run(name+", "+when+sync, func(t *testing.T) {
					o, now := options(t)
					o.Path, o.Sync = mount(t), with
					testFull(t, o, now.Pass, restart)
				})
			}
		}
	}
}

func testFull(t *testing.T, o Options, pass func(time.Duration), restart bool) {
	s := started(t, o)
	used(t, s, keyA, keyB)
	connected := written(t, s, keyC)
	used(t, s, keyD)
	if _, ok := s.DropOldest(0); !ok { // leaves a note
		t.Error("got nothing dropped")
	}
	fill(t, o.Path)
	if _, err := s.Open(context.Background(), keep.NewKey("e", "new", ""), "", minute, blank(s)); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("a new session: got %v, want ENOSPC", err)
	}
	pass(minute.Grace / 2)
	if restart {
		dies(s)
		s = started(t, o)
	} else {
		s.Close(connected)
	}
	for range 5 { // each is a change of the record
		wantResumed(t, s, keyB, keyC, keyD)
		wantLost(t, s, keep.Evicted, keyA)
	}
	wantDisks(t, s, keys{keyB, keyC, keyD}, keyA)
	pass(minute.Grace - 1)
	wantDisks(t, s, keys{keyB, keyC, keyD}, keyA)
	pass(1)
	wantLost(t, s, keep.Expired, keyB, keyC, keyD)
	wantDisks(t, s, nil, keyA, keyB, keyC, keyD)
}

// Where not even a change of a record has room (here, one of version 0.2 needs a new file;
// on btrfs a quota, or a snapshot that shares its blocks), a client gets its disk again,
// and a disk is removed when its grace is over, which makes room.
func TestFullForRecordsToo(t *testing.T) {
	for name, restart := range map[string]bool{"the same server": false, "another server": true} {
		t.Run(name, func(t *testing.T) {
			o, now := options(t)
			o.Path = kit.Mount(t, "-t", "tmpfs", "-o", "size=256k", "tmpdisk-test")
			s := started(t, o)
			used(t, s, keyA)
			used(t, s, keyB)
			downgrade(t, o.Path)
			fill(t, o.Path)
			now.Pass(minute.Grace / 2)
			if restart {
				dies(s)
				s = started(t, o)
			}
			for range 3 {
				c := resume(t, s, keyA)
				wantBlock(t, c, 1, 1, 0)
				put(t, c, 1, 1, 0)
				now.Pass(2 * minute.Grace)
				s.Close(c)
			}
			now.Pass(minute.Grace - 1)
			wantResumed(t, s, keyA)
			now.Pass(minute.Grace - 1)
			wantDisks(t, s, keys{keyA}, keyB)
			now.Pass(1)
			if kit.Exists(o.Path, kit.DiskOf(keyA)) {
				t.Error("the disk is there after its grace")
			}
			var lost *keep.LostError
			if err := refused(t, s, keyA); !errors.As(err, &lost) {
				t.Errorf("got %v, want it lost", err)
			}
		})
	}
}

// A disk is not served without a word in its record where that would say that the disk is
// synced, and it is not.
func TestFullForWhatIsNotSynced(t *testing.T) {
	o, _ := options(t)
	o.Path, o.Sync = kit.Mount(t, "-t", "tmpfs", "-o", "size=256k", "tmpdisk-test"), true
	s := started(t, o)
	used(t, s, keyA)
	dies(s)
	downgrade(t, o.Path)
	fill(t, o.Path)
	o.Sync = false
	s = started(t, o)
	if err := refused(t, s, keyA); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v, want ENOSPC", err)
	}
}
