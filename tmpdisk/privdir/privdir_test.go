// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package privdir

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

var directories = Kind{Parameter: "some-dir", Name: "nbdkit-tmpdisk-test"}

// notRoot says what a test cannot find out as root.
func notRoot(t *testing.T, why string) {
	if os.Geteuid() == 0 {
		t.Skip("as root: " + why)
	}
}

func chmod(t testing.TB, path string, mode uint32) {
	t.Helper()
	testkit.Must(t, unix.Chmod(path, mode))
}

func TestParent(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir string) string // returns some-dir=
		want  []string                              // nil if nothing is wrong
	}{
		{"private", func(t *testing.T, dir string) string { return dir }, nil},
		{"readable", func(t *testing.T, dir string) string { chmod(t, dir, 0o755); return dir }, nil},
		{"sticky", func(t *testing.T, dir string) string { chmod(t, dir, 0o1777); return dir }, nil},
		{"a link to it", func(t *testing.T, dir string) string {
			link := filepath.Join(t.TempDir(), "link")
			testkit.Must(t, os.Symlink(dir, link))
			return link
		}, nil},
		{"missing", func(t *testing.T, dir string) string { return dir + "/no" },
			[]string{"/no", "no such file", "create it"}},
		{"a file", func(t *testing.T, dir string) string {
			testkit.Must(t, os.WriteFile(dir+"/file", nil, 0o600))
			return dir + "/file"
		}, []string{"not a directory", "name a directory"}},
		{"writable by others", func(t *testing.T, dir string) string { chmod(t, dir, 0o777); return dir },
			[]string{"mode 0777", "chmod go-w"}},
		{"writable by the group", func(t *testing.T, dir string) string { chmod(t, dir, 0o770); return dir },
			[]string{"mode 0770", "chmod go-w"}},
		{"not writable", func(t *testing.T, dir string) string {
			notRoot(t, "every directory is writable")
			chmod(t, dir, 0o500)
			return dir
		}, []string{"not writable by user", "permission denied"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			chmod(t, dir, 0o700)
			value := tt.spoil(t, dir)
			err := directories.Check(value)
			if tt.want == nil && err != nil {
				t.Errorf("got %v, want no error", err)
			}
			if tt.want != nil {
				testkit.Contains(t, err, append(tt.want, value)...)
			}
			if _, err := os.Stat(testkit.PrivateDir(value, directories.Name)); err == nil {
				t.Error("the check has made a directory")
			}
			d, err := directories.Open(value, true)
			if tt.want == nil {
				if err != nil {
					t.Fatalf("got %v, want no error", err)
				}
				d.Close()
				return
			}
			testkit.Contains(t, err, append(tt.want, "parameter some-dir: ", value)...)
		})
	}
}

// Whatever the umask, the directory is private.
func TestDirMode(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	parent := t.TempDir()
	chmod(t, parent, 0o2700) // its set-group-ID bit is inherited
	for range 2 {
		d, err := directories.Open(parent, true)
		testkit.Must(t, err)
		d.Close()
	}
	info, err := os.Stat(testkit.PrivateDir(parent, directories.Name))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got mode %v, %v, want 0700", info.Mode(), err)
	}
}

// In a sticky directory others may have been first.
func TestNameThatAnotherUserHas(t *testing.T) {
	testkit.NeedRoot(t)
	parent := t.TempDir()
	chmod(t, parent, 0o1777)
	usual := testkit.PrivateDir(parent, directories.Name)
	theirs := func(path string) {
		t.Helper()
		must(t, errors.Join(os.Mkdir(path, 0o777), os.Chown(path, 12345, 12345)))
	}
	wantOpen := func(what string, create bool, want string) {
		t.Helper()
		d, err := directories.Open(parent, create)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		defer d.Close()
		if d.Path() != want {
			t.Errorf("%s: got %s, want %s", what, d.Path(), want)
		}
	}
	theirs(usual)
	must(t, os.Symlink("/", usual+".1"))
	must(t, os.Lchown(usual+".1", 12345, 12345))
	must(t, directories.Check(parent))
	if _, err := directories.Open(parent, false); !errors.Is(err, ErrNone) {
		t.Errorf("got %v, want %v", err, ErrNone)
	}
	wantOpen("the first that is free", true, usual+".2")
	must(t, errors.Join(os.Remove(usual), os.Remove(usual+".1")))
	wantOpen("the one that it had", true, usual+".2")
	wantOpen("the one that it had", false, usual+".2")
	must(t, os.Remove(usual+".2"))
	wantOpen("the usual one", true, usual)

	must(t, os.Remove(usual))
	theirs(usual)
	for i := 1; i < maxNames; i++ {
		theirs(fmt.Sprint(usual, ".", i))
	}
	_, err := directories.Open(parent, true)
	testkit.Contains(t, err, "parameter some-dir", "other users")

	chmod(t, parent, 0o755)
	_, err = directories.Open(parent, true)
	testkit.Contains(t, err, "is owned by user 12345") // who can only have got it from root
}

// A directory whose own descriptor does not answer any more (a filesystem in user space
// has died, and is mounted again) is no longer the one that its name leads to.
func TestInPlace(t *testing.T) {
	d := opened(t)
	fd, path := d.fd, d.path
	defer func() { d.fd, d.path = fd, path }()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path string
		fd         int
		want       bool
	}{
		{"as it was", path, fd, true},
		{"another", t.TempDir(), fd, false},
		{"gone", path + "-gone", fd, false},
		{"the name does not answer", file + "/x", fd, true},
		{"the descriptor does not answer", path, -1, false},
		{"neither does", file + "/x", -1, true},
	} {
		d.fd, d.path = tt.fd, tt.path
		if got := d.InPlace(); got != tt.want {
			t.Errorf("%s: got in place %v, want %v", tt.name, got, tt.want)
		}
	}
}
