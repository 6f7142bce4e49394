// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package imagekit makes filesystems for tests, as the plugin makes them, and
// looks at them with the programs of others.
package imagekit

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs"
)

const (
	KiB = int64(1) << 10
	MiB = int64(1) << 20
	GiB = int64(1) << 30
	TiB = int64(1) << 40
)

// A Case is one way to make a filesystem.
type Case struct {
	Type  string
	Size  int64  // in bytes
	Label string // "" is none
	// Command replaces the plugin's: a program with its options.
	Command string
	// Edit, if given, changes the command.
	Edit *strings.Replacer
}

// New makes a filesystem in memory: not every filesystem has files of 16 TiB,
// and tmpfs does. XFS gets an ordinary file, because mkfs.xfs would fill memory
// with the zeroes of the log, up to 2 GiB. The test is skipped where the program
// is missing.
func New(t testing.TB, c Case) *os.File {
	t.Helper()
	if c.Type != "xfs" {
		f := Empty(t, c.Size)
		Format(t, f.Name(), c)
		return f
	}
	f, err := os.Create(filepath.Join(t.TempDir(), "image"))
	testkit.Must(t, err)
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(c.Size); err != nil {
		t.Skipf("needs a filesystem that holds files of %d bytes: %v", c.Size, err)
	}
	Format(t, f.Name(), c)
	return f
}

// Empty is a sparse file in memory. Its name can be opened by other programs.
func Empty(t testing.TB, size int64) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("image", unix.MFD_CLOEXEC)
	testkit.Must(t, err)
	f := os.NewFile(uintptr(fd), fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), fd))
	t.Cleanup(func() { f.Close() })
	testkit.Must(t, f.Truncate(size))
	return f
}

// Format makes the filesystem in a file of the Case's size.
func Format(t testing.TB, path string, c Case) {
	t.Helper()
	script := c.Command + ` "$disk"`
	if c.Command == "" {
		Program(t, mkfs.Program(c.Type))
		script = mkfs.Spec{Type: c.Type, Size: c.Size, Label: c.Label != ""}.Script()
	} else {
		Program(t, strings.Fields(c.Command)[0])
	}
	if c.Edit != nil {
		script = c.Edit.Replace(script)
	}
	script = "PATH=$PATH:" + mkfs.Path + "\ndisk=$1\nlabel=$2\n" + script
	if out, err := exec.Command("/bin/sh", "-c", script, "sh", path, c.Label).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", script, err, out)
	}
}

// Program finds programs that an ordinary user's PATH lacks, or skips the test.
func Program(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range filepath.SplitList(os.Getenv("PATH") + ":" + mkfs.Path) {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	t.Skip("needs ", name)
	return ""
}

// Run runs a program, whose name is args[0], and returns what it wrote.
func Run(t testing.TB, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(Program(t, args[0]), args[1:]...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// Must is Run for a program that must succeed.
func Must(t testing.TB, args ...string) string {
	t.Helper()
	out, err := Run(t, args...)
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
	return out
}

var checkers = map[string][][]string{
	"ext2":  {{"e2fsck", "-fn"}},
	"ext3":  {{"e2fsck", "-fn"}},
	"ext4":  {{"e2fsck", "-fn"}},
	"xfs":   {{"xfs_repair", "-n", "-f"}},
	"btrfs": {{"btrfs", "check", "--readonly"}},
	"f2fs":  {{"fsck.f2fs", "--dry-run"}},
	"vfat":  {{"fsck.fat", "-n"}},
	"fat":   {{"fsck.fat", "-n"}},
	"msdos": {{"fsck.fat", "-n"}},
	"exfat": {{"fsck.exfat", "-n"}},
	"ntfs":  {{"ntfsfix", "-n"}, {"ntfsinfo", "-fm"}},
	"minix": {{"fsck.minix", "-f"}},
}

// WantClean runs the type's own checkers, reading only.
func WantClean(t testing.TB, fsType, path string) {
	t.Helper()
	for _, check := range checkers[fsType] {
		if out, err := Run(t, append(check, path)...); err != nil {
			t.Errorf("%q: %v: %s", check, err, out)
		}
	}
}

// WantTags compares with what blkid sees.
func WantTags(t testing.TB, path, fsType, label, uuid string) {
	t.Helper()
	for tag, want := range map[string]string{"TYPE": fsType, "LABEL": label, "UUID": uuid} {
		out, err := Run(t, "blkid", "-p", "-o", "value", "-s", tag, path)
		if got := strings.TrimSuffix(out, "\n"); got != want || (err != nil && want != "") {
			t.Errorf("blkid %s: got %q (%v), want %q", tag, got, err, want)
		}
	}
}

// Read reads all of f.
func Read(t testing.TB, f *os.File) []byte {
	t.Helper()
	info, err := f.Stat()
	testkit.Must(t, err)
	p := make([]byte, info.Size())
	_, err = f.ReadAt(p, 0)
	testkit.Must(t, err)
	return p
}
