// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// mountImage mounts the filesystem in a file, until the test is over.
func mountImage(t *testing.T, image, options string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-o", "loop"+options, image, dir).CombinedOutput(); err != nil {
		t.Skipf("needs mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	chmodPrivate(t, dir)
	return dir
}

// What is on the server's own disk at a moment is what a crash leaves: a copy of
// the disk is the machine after it.
func TestCrash(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a filesystem")
	}
	tests := []struct {
		name          string
		first, second bool // session-sync of two servers, one after the other
		lost          bool
	}{
		{"sync", true, true, false},
		{"sync comes later", false, true, false},
		{"sync is no longer asked for", true, false, true},
		{"no sync", false, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			image := filepath.Join(t.TempDir(), "image")
			if out, err := exec.Command("mkfs.ext4", "-q", image, "16M").CombinedOutput(); err != nil {
				t.Skipf("needs mkfs.ext4: %v: %s", err, out)
			}
			parent := mountImage(t, image, ",commit=600")
			o := dirOptions(t, nil, parent)
			o.Sync = tt.first
			s := started(t, o)
			c := open(t, s, keyA, blank(t, parent, testSize))
			put(t, c, 1, 1, 0)
			s.Close(c)
			closeKeeper(s)

			o.Sync = tt.second
			s = started(t, o)
			c = open(t, s, keyA, none)
			put(t, c, 1, 2, 1)
			if err := c.Flush(); err != nil {
				t.Fatal(err)
			}
			crashed := filepath.Join(t.TempDir(), "crashed")
			if out, err := exec.Command("cp", image, crashed).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			s.Close(c)
			closeKeeper(s)

			o.Dir, o.boot = mountImage(t, crashed, ",commit=600"), "another-boot"
			s = started(t, o)
			defer closeKeeper(s)
			if tt.lost {
				wantLost(t, s, keyA, Crashed)
				return
			}
			c = open(t, s, keyA, none)
			wantBlock(t, c, 1, 1, 0)
			wantBlock(t, c, 1, 2, 1)
			s.Close(c)
		})
	}
}
