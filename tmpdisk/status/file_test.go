// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func write(t *testing.T, f *File, text string) {
	t.Helper()
	testkit.Must(t, f.Write([]byte(text)))
}

func remove(t *testing.T, f *File) {
	t.Helper()
	testkit.Must(t, f.Remove())
}

func wantText(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	testkit.Must(t, err)
	if string(got) != want {
		t.Errorf("got %q in %s, want %q", got, path, want)
	}
}

func wantNames(t *testing.T, dir string, want ...string) {
	t.Helper()
	if got := testkit.Names(t, dir); !slices.Equal(got, want) {
		t.Errorf("got %q in %s, want %q", got, dir, want)
	}
}

func put(t *testing.T, path, text string) {
	t.Helper()
	testkit.Must(t, os.WriteFile(path, []byte(text), 0o600))
}

func TestModeWhateverTheUmask(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o777} {
		for _, mode := range []os.FileMode{0o600, 0o644} {
			path := filepath.Join(t.TempDir(), "x")
			before := unix.Umask(umask)
			err := NewFile(path, mode).Write([]byte("text"))
			unix.Umask(before)
			testkit.Must(t, err)
			info, err := os.Lstat(path)
			testkit.Must(t, err)
			if info.Mode() != mode {
				t.Errorf("umask %03o: got mode %v, want %v", umask, info.Mode(), mode)
			}
		}
	}
}

func TestReplace(t *testing.T) {
	tests := []struct {
		name   string
		before func(t *testing.T, dir string) // makes x, or not
		names  []string                       // afterwards
	}{
		{"nothing", func(*testing.T, string) {}, []string{"x"}},
		{"a file", func(t *testing.T, dir string) { put(t, dir+"/x", "longer than the text") }, []string{"x"}},
		{"a link", func(t *testing.T, dir string) {
			put(t, dir+"/other", "untouched")
			testkit.Must(t, os.Symlink("other", dir+"/x"))
		}, []string{"other", "x"}},
		{"a dangling link", func(t *testing.T, dir string) {
			testkit.Must(t, os.Symlink("other", dir+"/x"))
		}, []string{"x"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			tt.before(t, dir)
			f := NewFile(dir+"/x", 0o600)
			write(t, f, "text")
			write(t, f, "more")
			wantText(t, dir+"/x", "more")
			wantNames(t, dir, tt.names...)
			if slices.Contains(tt.names, "other") {
				wantText(t, dir+"/other", "untouched")
			}
			if info, err := os.Lstat(dir + "/x"); err != nil || !info.Mode().IsRegular() {
				t.Errorf("got %v, %v, want a regular file", info.Mode(), err)
			}
			remove(t, f)
			wantNames(t, dir, slices.DeleteFunc(tt.names, func(name string) bool { return name == "x" })...)
			remove(t, f)
		})
	}
}

func TestFullDisk(t *testing.T) {
	dir := testkit.Tmpfs(t, "64K")
	f := NewFile(dir+"/x", 0o600)
	write(t, f, "small")
	testkit.Contains(t, f.Write(bytes.Repeat([]byte("large "), 1<<16)),
		"write: "+dir+"/x: no space left on device")
	wantText(t, dir+"/x", "small")
	wantNames(t, dir, "x")
	write(t, f, "again")
	wantText(t, dir+"/x", "again")
	remove(t, f)
	wantNames(t, dir)
}

func TestDirectoryGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dir")
	f := NewFile(dir+"/x", 0o600)
	testkit.Contains(t, f.Write(nil), "write: "+dir+"/x: no such file")
	for range 2 {
		testkit.Must(t, os.Mkdir(dir, 0o700))
		write(t, f, "text")
		wantText(t, dir+"/x", "text")
		testkit.Must(t, os.RemoveAll(dir))
		testkit.Contains(t, f.Write(nil), "write: "+dir+"/x: no such file")
		remove(t, f)
	}
}

func TestPathBecomesADirectory(t *testing.T) {
	dir := t.TempDir()
	f := NewFile(dir+"/x", 0o600)
	write(t, f, "text")
	remove(t, f)
	testkit.Must(t, os.Mkdir(dir+"/x", 0o700))
	testkit.Contains(t, f.Write(nil), "write: "+dir+"/x: ")
	remove(t, f)
	wantNames(t, dir, "x")
}

func TestRemoveOnlyWhatIsOurs(t *testing.T) {
	tests := []struct {
		name string
		do   func(t *testing.T, path string, ours *File)
		want string // what is there at the end, "" if nothing is
	}{
		{"never written", func(t *testing.T, path string, _ *File) { put(t, path, "theirs") }, "theirs"},
		{"ours", func(t *testing.T, _ string, ours *File) { write(t, ours, "ours") }, ""},
		{"removed", func(t *testing.T, path string, ours *File) {
			write(t, ours, "ours")
			testkit.Must(t, os.Remove(path))
		}, ""},
		{"theirs", func(t *testing.T, path string, ours *File) {
			write(t, ours, "ours")
			write(t, NewFile(path, 0o600), "theirs")
		}, "theirs"},
		{"ours again", func(t *testing.T, path string, ours *File) {
			write(t, ours, "ours")
			write(t, NewFile(path, 0o600), "theirs")
			write(t, ours, "ours")
		}, ""},
		// The second of these gets the inode's number that ours had, on ext4.
		{"theirs twice", func(t *testing.T, path string, ours *File) {
			theirs, probe := NewFile(path, 0o600), filepath.Join(t.TempDir(), "probe")
			put(t, probe, "")
			write(t, ours, "ours")
			for range 2 {
				nextTick(t, path, probe)
				write(t, theirs, "theirs")
			}
		}, "theirs"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			ours := NewFile(dir+"/x", 0o600)
			tt.do(t, dir+"/x", ours)
			remove(t, ours)
			if tt.want == "" {
				wantNames(t, dir)
			} else {
				wantText(t, dir+"/x", tt.want)
			}
		})
	}
}

// nextTick waits until what is written has another time than path.
func nextTick(t *testing.T, path, probe string) {
	t.Helper()
	was, err := os.Stat(path)
	testkit.Must(t, err)
	for {
		put(t, probe, "")
		now, err := os.Stat(probe)
		testkit.Must(t, err)
		if !now.ModTime().Equal(was.ModTime()) {
			return
		}
	}
}

func TestTwoServers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	texts := []string{strings.Repeat("a", 1<<16), strings.Repeat("b", 1<<16)}
	write(t, NewFile(path, 0o600), texts[0])
	ended := make(chan error, len(texts))
	for _, text := range texts {
		go func() {
			f := NewFile(path, 0o600)
			for range 300 {
				if err := f.Write([]byte(text)); err != nil {
					ended <- err
					return
				}
			}
			ended <- nil
		}()
	}
	for left := len(texts); left > 0; {
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
			left--
		default:
		}
		got, err := os.ReadFile(path)
		if err != nil || !slices.Contains(texts, string(got)) {
			t.Fatalf("got %d bytes, %v, want one of the two texts", len(got), err)
		}
	}
	wantNames(t, filepath.Dir(path), "x")
}
