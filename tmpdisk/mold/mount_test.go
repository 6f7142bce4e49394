// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mold_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	kit "nbdkit-tmpdisk-plugin/tmpdisk/internal/imagekit"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp"
)

// mounted has the types that are to survive a crash, and how to see that there
// is something in the log.
var mounted = []struct {
	fsType string
	dirty  []string // command
	wants  *regexp.Regexp
}{
	{"ext4", []string{"dumpe2fs", "-h"}, regexp.MustCompile("needs_recovery")},
	{"xfs", []string{"xfs_repair", "-n", "-f"}, regexp.MustCompile("valuable metadata changes in a log")},
	{"btrfs", []string{"btrfs", "inspect-internal", "dump-super"},
		regexp.MustCompile(`log_root\s+[1-9]`)},
}

// Two casts of one mold are mounted at once and written. Then the machine
// "crashes": a copy of the disk, made in the middle, is mounted again.
func TestMounted(t *testing.T) {
	for _, c := range mounted {
		t.Run(c.fsType, func(t *testing.T) {
			needMounts(t, c.fsType)
			one, two := castStamped(t, c.fsType)
			dirOne, dirTwo := mount(t, c.fsType, one), mount(t, c.fsType, two)
			fill(t, dirTwo, "two")
			crashed := filepath.Join(filepath.Dir(one), "crashed")
			var out string
			for range 5 { // sync(2), by any program on this machine, leaves nothing dirty
				fill(t, dirOne, "one")
				kit.Must(t, "cp", "--sparse=always", one, crashed)
				// What is dirty may well be an error to the program.
				if out, _ = kit.Run(t, append(c.dirty, crashed)...); c.wants.MatchString(out) {
					break
				}
			}
			wantFilled(t, dirOne, "one")
			wantFilled(t, dirTwo, "two")
			unmount(t, dirOne)
			unmount(t, dirTwo)

			if !c.wants.MatchString(out) {
				t.Errorf("%s: got %q, want %q: nothing is to be replayed", c.dirty[0], out, c.wants)
			}
			dir := mount(t, c.fsType, crashed)
			wantFilled(t, dir, "one")
			if err := os.WriteFile(filepath.Join(dir, "later"), nil, 0o600); err != nil {
				t.Error(err)
			}
			unmount(t, dir)
			for _, disk := range []string{one, two, crashed} {
				kit.WantClean(t, c.fsType, disk)
			}
		})
	}
}

// needMounts gives this goroutine a thread with a mount namespace of its own,
// which ends with it, however the test ends.
func needMounts(t *testing.T, fsType string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, to mount")
	}
	known, err := os.ReadFile("/proc/filesystems")
	if err != nil || !regexp.MustCompile(`(?m)^\t`+fsType+`$`).Match(known) {
		t.Skipf("needs %s in the kernel", fsType)
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		t.Skip("needs loop devices: ", err)
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		t.Skip("needs mount namespaces: ", err)
	}
	testkit.Must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
}

// castStamped returns two disks of one mold.
func castStamped(t *testing.T, fsType string) (one, two string) {
	t.Helper()
	m := readMold(t, kit.New(t, kit.Case{Type: fsType, Size: kit.GiB}))
	stamping := kit.Understood(t, fsType, m.Size(), m)
	dir := t.TempDir()
	var names []string
	for range 2 {
		f := create(t, dir)
		var id stamp.ID
		rand.Read(id[:])
		testkit.Must(t, m.Cast(int(f.Fd()), stamping.Patches(id)))
		names = append(names, f.Name())
	}
	return names[0], names[1]
}

// mount uses a loop device that goes when the disk is unmounted.
func mount(t *testing.T, fsType, disk string) string {
	t.Helper()
	dir := t.TempDir()
	kit.Must(t, "mount", "-t", fsType, "-o", "loop", disk, dir)
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			t.Error(err) // EINVAL: has been unmounted
		}
	})
	return dir
}

func unmount(t *testing.T, dir string) {
	t.Helper()
	kit.Must(t, "umount", dir)
}

// fill writes files that are flushed, and in between some that are not.
func fill(t *testing.T, dir, content string) {
	t.Helper()
	for i := range 200 {
		f, err := os.Create(filepath.Join(dir, fmt.Sprint("file", i)))
		testkit.Must(t, err)
		if _, err := f.Write(bytes.Repeat([]byte(content), i*100)); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			testkit.Must(t, f.Sync())
		}
		f.Close()
		if i%7 == 0 {
			testkit.Must(t, os.Rename(f.Name(), f.Name()+"renamed"))
		}
	}
}

// wantFilled looks for the files that were flushed, and not renamed after.
func wantFilled(t *testing.T, dir, content string) {
	t.Helper()
	for i := 0; i < 200; i += 10 {
		if i%7 == 0 {
			continue
		}
		got, err := os.ReadFile(filepath.Join(dir, fmt.Sprint("file", i)))
		if err != nil || !bytes.Equal(got, bytes.Repeat([]byte(content), i*100)) {
			t.Errorf("file%d: got %d bytes, %v, want %d", i, len(got), err, i*100*len(content))
		}
	}
}
