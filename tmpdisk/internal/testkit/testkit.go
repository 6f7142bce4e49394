// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package testkit has what the tests of several packages need.
package testkit

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Debug writes debug lines to the test's log.
func Debug(t testing.TB) func(string) {
	return func(msg string) { t.Log("debug: " + msg) }
}

// Quiet is a debug function for loops and for other processes.
func Quiet(string) {}

// NeedRoot skips the test for other users.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
}

// Must ends the test if there is an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Contains fails the test unless err's text has every want.
func Contains(t testing.TB, err error, wants ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want one with %q", wants)
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got error %q, want %q in it", err, want)
		}
	}
}

// PrivateDir is the path of this user's directory in parent that package privdir calls
// by that name.
func PrivateDir(parent, name string) string {
	return filepath.Join(parent, fmt.Sprintf("%s-%d", name, os.Geteuid()))
}

// Names lists what is in dir.
func Names(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// WantEmpty fails the test if anything is in dir.
func WantEmpty(t testing.TB, dir string) {
	t.Helper()
	if names := Names(t, dir); len(names) != 0 {
		t.Errorf("got %q in %s, want nothing", names, dir)
	}
}

// Tmpfs mounts a tmpfs of so many bytes, as in mount's size=, which is gone
// after the test.
func Tmpfs(t testing.TB, size string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a small filesystem")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpdisk-test", dir).CombinedOutput(); err != nil {
		t.Skipf("needs mount: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return dir
}

// FUSE mounts a directory once more through bindfs, where the filesystem does as
// those in user space do: it has no unnamed files, no holes to be asked about,
// and keeps a name for each open file. It is gone after the test.
func FUSE(t testing.TB) string {
	t.Helper()
	if _, err := exec.LookPath("bindfs"); err != nil {
		t.Skip("needs bindfs")
	}
	dir := t.TempDir()
	if out, err := exec.Command("bindfs", "-o", "fsname=tmpdisk-test", t.TempDir(), dir).CombinedOutput(); err != nil {
		t.Skipf("needs FUSE: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("fusermount3", "-u", dir).CombinedOutput(); err != nil {
			t.Errorf("unmount: %v: %s", err, out)
		}
	})
	return dir
}

// HangingFUSE is a directory like that of FUSE, whose server hangs from stop until goOn.
func HangingFUSE(t testing.TB) (dir string, stop, goOn func()) {
	t.Helper()
	if _, err := exec.LookPath("bindfs"); err != nil {
		t.Skip("needs bindfs")
	}
	dir = t.TempDir()
	under := t.TempDir()
	if err := os.Chmod(under, 0o700); err != nil {
		t.Fatal(err)
	}
	// The kernel must ask it every time.
	server := exec.Command("bindfs", "-f", "-o", "fsname=tmpdisk-test,attr_timeout=0,entry_timeout=0,negative_timeout=0", under, dir)
	var said bytes.Buffer
	server.Stderr = &said
	if err := server.Start(); err != nil {
		t.Skipf("needs FUSE: %v", err)
	}
	mounted := func() bool {
		var st unix.Statfs_t
		return unix.Statfs(dir, &st) == nil && st.Type == unix.FUSE_SUPER_MAGIC
	}
	signal := func(s unix.Signal) func() {
		return func() {
			if err := server.Process.Signal(s); err != nil {
				t.Error(err)
			}
		}
	}
	t.Cleanup(func() {
		server.Process.Signal(unix.SIGCONT)
		if out, err := exec.Command("fusermount3", "-uz", dir).CombinedOutput(); err != nil && mounted() {
			t.Errorf("unmount: %v: %s", err, out)
		}
		server.Process.Kill()
		server.Wait()
	})
	for range 500 {
		if mounted() {
			return dir, signal(unix.SIGSTOP), signal(unix.SIGCONT)
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Skipf("needs FUSE: %s", said.String())
	return
}

// SharedDir is a directory as TMPDIR usually is: everybody may reach and write
// to it.
func SharedDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/var/tmp", "tmpdisk-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Runs counts the lines of a file to which a command adds one when it runs.
func Runs(t testing.TB, path string) int {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return bytes.Count(b, []byte("\n"))
}

// Program puts a shell script called name in front of all others of that name, and
// returns the file that has a line for each run; see [Runs].
func Program(t testing.TB, name, body string) (runs string) {
	t.Helper()
	dir := t.TempDir()
	text := "#!/bin/sh\necho >>\"$0.runs\"\n" + body + "\n"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	return filepath.Join(dir, name+".runs")
}

// WaitFor waits until what comes true.
func WaitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for range 3000 {
		if cond() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited in vain for %s", what)
}
