// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package testkit

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
)

// Path is that of a file in the private directory in parent, which package files names.
func Path(parent, name string) string {
	return filepath.Join(parent, fmt.Sprintf("nbdkit-tmpdisk-sessions-%d", os.Geteuid()), name)
}

// DiskOf and RecordOf are the names of a session's files.
func DiskOf(key keep.Key) string   { return string(key) + ".disk" }
func RecordOf(key keep.Key) string { return record.FileName(key) }

// WantFiles fails the test unless these are all the files in parent's private directory,
// which may be missing if there are none.
func WantFiles(t testing.TB, parent string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(Path(parent, ""))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	got := []string{}
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		key := strings.TrimSuffix(e.Name(), ext)
		switch {
		case overBases && (ext == ".base" || ext == ".mold"):
		case ext == ".damaged" && Exists(parent, key+".disk"): // a mark
		default:
			got = append(got, e.Name())
		}
	}
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got the files %q, want %q", got, want)
	}
}

// Exists reports whether parent has that file.
func Exists(parent, name string) bool {
	_, err := os.Lstat(Path(parent, name))
	return err == nil
}

// Change rewrites the record of key as another server could.
func Change(t testing.TB, parent string, key keep.Key, f func(*record.Record)) {
	t.Helper()
	file, err := os.OpenFile(Path(parent, RecordOf(key)), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := record.Read(file, key)
	if err == nil {
		f(&r)
		err = record.Change(file, &r, func(record.Record) error { return nil })
	}
	if err != nil {
		t.Fatal(err)
	}
}

// RecordIn is the record of key.
func RecordIn(t testing.TB, parent string, key keep.Key) (r record.Record) {
	t.Helper()
	file, err := os.Open(Path(parent, RecordOf(key)))
	if err == nil {
		defer file.Close()
		r, err = record.Read(file, key)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Lock takes the lock of a file as another server could, until unlock. It reports whether
// it got it.
func Lock(t testing.TB, path string) (unlock func(), ok bool) {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		unix.Close(fd)
		return nil, false
	}
	return func() { unix.Close(fd) }, true
}

// Run runs a command that may not be there, or not be allowed: then the test is skipped.
func Run(t testing.TB, command ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if out, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
		t.Skipf("needs %q: %v: %s", command, err, out)
	}
}

// Mount mounts what the arguments of mount(8) say, until the test is over.
func Mount(t testing.TB, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	Run(t, append(append([]string{"mount"}, args...), dir)...)
	// A server's directory stays open for as long as its process lives.
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Image makes a file of 400 MiB with the filesystem that a command makes of it.
func Image(t testing.TB, mkfs ...string) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(image)
	if err == nil {
		defer f.Close()
		err = f.Truncate(400 << 20)
	}
	if err != nil {
		t.Fatal(err)
	}
	Run(t, append(mkfs, image)...)
	return image
}
