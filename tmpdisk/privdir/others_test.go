// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package privdir

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestOthers(t *testing.T) {
	const dir, file = unix.S_IFDIR, unix.S_IFREG
	tests := []struct {
		name   string
		owner  uint32
		mode   uint32
		uid    int // as whom the server runs
		mayAdd bool
		want   []string
	}{
		{"root's", 0, dir | 0o755, 1000, false, nil},
		{"its own", 1000, dir | 0o700, 1000, false, nil},
		{"another's", 1001, dir | 0o700, 1000, true, []string{"owned by user 1001", "root or user 1000"}},
		{"another's, for root", 1001, file | 0o600, 0, false, []string{"owned by user 1001", "must belong to root"}},
		{"another's, before root becomes that one", 1001, dir | 0o700, anyUID, true, nil},
		{"another's and sticky", 1001, dir | 0o1777, 1000, true, []string{"owned by user 1001"}},
		{"everybody's, before root becomes another", 0, dir | 0o777, anyUID, true, []string{"mode 0777", "chmod go-w, or chmod +t"}},
		{"the group's", 0, dir | 0o775, 0, true, []string{"mode 0775"}},
		{"sticky", 0, dir | 0o1777, 0, true, nil},
		{"sticky, and nobody is to add", 0, dir | 0o1777, 0, false, []string{"mode 1777", "chmod go-w"}},
		{"a sticky file", 0, file | 0o1666, 0, true, []string{"mode 1666"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := others(&unix.Stat_t{Uid: tt.owner, Mode: tt.mode}, tt.uid, tt.mayAdd)
			if tt.want != nil {
				testkit.Contains(t, err, tt.want...)
			} else if err != nil {
				t.Errorf("got %v, want no error", err)
			}
		})
	}
}

func TestOpenDir(t *testing.T) {
	const another = 12345
	chown := func(t *testing.T, path string) {
		t.Helper()
		testkit.NeedRoot(t)
		must(t, os.Lchown(path, another, another))
	}
	tests := []struct {
		name string
		// top has a/b, both of mode 0755.
		prepare func(t *testing.T, top string) (path string)
		want    []string // in the error; none for no error
	}{
		{"as made", func(_ *testing.T, top string) string { return top + "/a/b" }, nil},
		{"with dots and slashes", func(_ *testing.T, top string) string { return top + "//a/./b/../b/" }, nil},
		{"relative", func(t *testing.T, top string) string {
			before, err := os.Getwd()
			must(t, errors.Join(err, os.Chdir(top)))
			t.Cleanup(func() { os.Chdir(before) })
			return "a/b"
		}, nil},
		{"up from where a link leads", func(t *testing.T, top string) string {
			must(t, os.MkdirAll(top+"/elsewhere/c", 0o755))
			must(t, os.Symlink("../a/b", top+"/elsewhere/link"))
			return top + "/elsewhere/link/../b"
		}, nil},
		{"below everybody's", func(t *testing.T, top string) string { chmod(t, top+"/a", 0o777); return top + "/a/b" },
			[]string{"/a has mode 0777", "chmod o-w, or chmod +t"}},
		{"below a sticky one", func(t *testing.T, top string) string { chmod(t, top+"/a", 0o1777); return top + "/a/b" }, nil},
		{"below the group's", func(t *testing.T, top string) string { chmod(t, top+"/a", 0o775); return top + "/a/b" }, nil},
		{"below another's", func(t *testing.T, top string) string { chown(t, top+"/a"); return top + "/a/b" }, nil},
		{"another's", func(t *testing.T, top string) string { chown(t, top+"/a/b"); return top + "/a/b" },
			[]string{"/a/b: owned by user 12345"}},
		{"by way of a link", func(t *testing.T, top string) string {
			must(t, os.Symlink("a", top+"/link"))
			return top + "/link/b"
		}, nil},
		{"by way of another's link", func(t *testing.T, top string) string {
			must(t, os.Symlink("a", top+"/link"))
			chown(t, top+"/link")
			return top + "/link/b"
		}, []string{"/link is a symbolic link of user 12345"}},
		{"a link to the whole path", func(t *testing.T, top string) string {
			must(t, os.Symlink(top+"/a/b", top+"/link"))
			return top + "/link"
		}, nil},
		{"a link out of everybody's", func(t *testing.T, top string) string {
			must(t, os.Mkdir(top+"/all", 0o755))
			chmod(t, top+"/all", 0o777)
			must(t, os.Symlink("../a/b", top+"/all/link"))
			return top + "/all/link"
		}, []string{"/all has mode 0777"}},
		{"a link into everybody's", func(t *testing.T, top string) string {
			chmod(t, top+"/a", 0o777)
			must(t, os.Symlink("a/b", top+"/link"))
			return top + "/link"
		}, []string{"/a has mode 0777"}},
		{"a link to itself", func(t *testing.T, top string) string {
			must(t, os.Symlink("link", top+"/link"))
			return top + "/link"
		}, []string{"too many levels"}},
		{"a link to nothing", func(t *testing.T, top string) string {
			must(t, os.Symlink("no", top+"/link"))
			return top + "/link"
		}, []string{"no such file", "create it"}},
		{"below a file", func(t *testing.T, top string) string {
			must(t, os.WriteFile(top+"/file", nil, 0o600))
			return top + "/file/b"
		}, []string{"not a directory", "name a directory"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			top := t.TempDir()
			must(t, os.MkdirAll(top+"/a/b", 0o755))
			path := tt.prepare(t, top)
			fd, err := OpenDir(path)
			if tt.want != nil {
				testkit.Contains(t, err, tt.want...)
				return
			}
			must(t, err)
			defer unix.Close(fd)
			var got, want unix.Stat_t
			must(t, errors.Join(unix.Fstat(fd, &got), unix.Stat(top+"/a/b", &want)))
			if got.Ino != want.Ino || got.Dev != want.Dev {
				t.Errorf("got another directory than %s", path)
			}
		})
	}
}

func TestCheckTrust(t *testing.T) {
	dir := t.TempDir()
	chmod(t, dir, 0o777)
	testkit.Contains(t, CheckTrust(dir), dir, "mode 0777", "chmod +t")
	for _, path := range []string{"/", t.TempDir() + "/missing"} {
		if err := CheckTrust(path); err != nil {
			t.Errorf("%s: got %v, want no error", path, err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	testkit.Must(t, err)
}
