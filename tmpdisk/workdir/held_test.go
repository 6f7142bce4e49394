// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package workdir

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// openDisk makes path and leaves it open.
func openDisk(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Create(path)
	testkit.Must(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func TestRemoveWhereOpenFilesAreHeld(t *testing.T) {
	cases := []struct {
		name string
		make func(w *Dir) string
	}{
		{"the disk", func(w *Dir) string { return w.Disk() }},
		{"a command's disk", func(w *Dir) string {
			testkit.Must(t, w.Enter())
			return w.Disk()
		}},
		{"in a subdirectory", func(w *Dir) string {
			sub := filepath.Join(w.Path(), "sub", "sub")
			testkit.Must(t, os.MkdirAll(sub, 0o700))
			return filepath.Join(sub, "disk")
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			parent := testkit.FUSE(t)
			w := makeWorkdir(t, parent)
			f := openDisk(t, c.make(w))
			for _, call := range []string{"first", "second"} {
				if err := w.Remove(); !errors.Is(err, ErrHeld) {
					t.Errorf("%s call: got %v, want %v", call, err, ErrHeld)
				}
			}
			if err := Sweep(parent, testkit.Debug(t)); err != nil {
				t.Error(err)
			}
			if _, err := os.Stat(w.full); err != nil {
				t.Errorf("got %v, want the directory, because it is locked", err)
			}
			if _, err := f.WriteAt([]byte("x"), 1<<20); err != nil {
				t.Error(err)
			}
			f.Close()
			if err := w.RemoveClosed(); err != nil {
				t.Errorf("got %v", err)
			}
			testkit.WantEmpty(t, parent)
		})
	}
}

// A name that only looks like one of those is removed at once.
func TestRemoveWhatOnlyLooksHeld(t *testing.T) {
	parent := t.TempDir()
	w := makeWorkdir(t, parent)
	for _, name := range []string{".nfs0000000001", ".fuse_hidden0001", "disk"} {
		openDisk(t, filepath.Join(w.Path(), name))
	}
	if err := w.Remove(); err != nil {
		t.Errorf("got %v", err)
	}
	testkit.WantEmpty(t, parent)
}

// The server is dead, and its filesystem's process as well or not yet.
func TestSweepWhereOpenFilesAreHeld(t *testing.T) {
	parent := testkit.FUSE(t)
	w := makeWorkdir(t, parent)
	f := openDisk(t, w.Disk())
	if err := w.Remove(); !errors.Is(err, ErrHeld) {
		t.Fatalf("got %v, want %v", err, ErrHeld)
	}
	left := leave(t, parent)
	for _, name := range []string{".fuse_hidden0001", ".nfs0000000001"} {
		testkit.Must(t, os.WriteFile(filepath.Join(left, name), nil, 0o600))
	}
	w.release()
	f.Close()
	if err := Sweep(parent, testkit.Debug(t)); err != nil {
		t.Error(err)
	}
	testkit.WantEmpty(t, parent)
}

func TestHoldsOpenFiles(t *testing.T) {
	cases := []struct {
		name string
		dir  func(testing.TB) string
		want bool
	}{
		{"FUSE", testkit.FUSE, true},
		{"TMPDIR of the tests", func(t testing.TB) string { return t.TempDir() }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := c.dir(t)
			if got, err := HoldsOpenFiles(dir); got != c.want || err != nil {
				t.Errorf("got %t, %v, want %t", got, err, c.want)
			}
			testkit.WantEmpty(t, dir)
		})
	}
	if _, err := HoldsOpenFiles(filepath.Join(t.TempDir(), "missing")); !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v, want %v", err, unix.ENOENT)
	}
}
