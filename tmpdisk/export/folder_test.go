// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package export

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestPermissions(t *testing.T) {
	// dir has a.conf and z.conf, outside has b, all of mode 0644. An error that does
	// not begin with exports: is about one file only.
	tests := []struct {
		name  string
		setUp func(t *testing.T, dir, outside string)
		want  []string // in the error; none for no error
	}{
		{"as made", func(*testing.T, string, string) {}, nil},
		{"only for this user", func(t *testing.T, dir, _ string) {
			must(t, os.Chmod(dir, 0o700))
			must(t, os.Chmod(dir+"/a.conf", 0o400))
		}, nil},
		{"the directory is the group's", func(t *testing.T, dir, _ string) { must(t, os.Chmod(dir, 0o775)) },
			[]string{"exports: mode 0775", "chmod go-w"}},
		{"it is everybody's", func(t *testing.T, dir, _ string) { must(t, os.Chmod(dir, 0o757)) },
			[]string{"exports: mode 0757", "chmod go-w"}},
		{"it is sticky", func(t *testing.T, dir, _ string) { must(t, os.Chmod(dir, 0o777|os.ModeSticky)) },
			[]string{"exports: mode 1777", "chmod go-w"}},
		{"it is another's", func(t *testing.T, dir, _ string) { chown(t, dir, another) },
			[]string{"exports: owned by user 54321", "must belong to root"}},
		{"it is gone", func(t *testing.T, dir, _ string) { must(t, os.RemoveAll(dir)) },
			[]string{"exports: no such file or directory: name a directory"}},
		{"it is a file", func(t *testing.T, dir, _ string) {
			must(t, os.RemoveAll(dir))
			write(t, dir, "#\n")
		}, []string{"exports: not a directory: name a directory"}},
		{"it is a link", func(t *testing.T, dir, outside string) {
			must(t, os.Rename(dir, outside+"/real"))
			must(t, os.Symlink(outside+"/real", dir))
		}, nil},
		{"it is a link to another's", func(t *testing.T, dir, outside string) {
			must(t, os.Rename(dir, outside+"/real"))
			chown(t, outside+"/real", another)
			must(t, os.Symlink(outside+"/real", dir))
		}, []string{"exports: owned by user 54321"}},
		{"a file is the group's", func(t *testing.T, dir, _ string) { must(t, os.Chmod(dir+"/a.conf", 0o664)) },
			[]string{"/a.conf: mode 0664", "chmod go-w"}},
		{"it is everybody's to write", func(t *testing.T, dir, _ string) { must(t, os.Chmod(dir+"/a.conf", 0o622)) },
			[]string{"/a.conf: mode 0622", "chmod go-w"}},
		{"a file is another's", func(t *testing.T, dir, _ string) { chown(t, dir+"/a.conf", another) },
			[]string{"/a.conf: owned by user 54321", "must belong to root"}},
		{"a file cannot be read", func(t *testing.T, dir, _ string) {
			if os.Geteuid() == 0 {
				t.Skip("root can read all")
			}
			must(t, os.Chmod(dir+"/a.conf", 0))
		}, []string{"/a.conf: open as user ", "permission denied"}},
		{"a link", func(t *testing.T, dir, outside string) { link(t, dir, outside+"/b") }, nil},
		{"a link to a link", func(t *testing.T, dir, outside string) {
			must(t, os.Symlink("b", outside+"/c"))
			link(t, dir, outside+"/c")
		}, nil},
		{"a link to nothing", func(t *testing.T, dir, outside string) { link(t, dir, outside+"/c") },
			[]string{"/l.conf: no such file", "link"}},
		{"a link to itself", func(t *testing.T, dir, _ string) { link(t, dir, "l.conf") }, []string{"/l.conf: too many levels"}},
		{"a link to another's file", func(t *testing.T, dir, outside string) {
			chown(t, outside+"/b", another)
			link(t, dir, outside+"/b")
		}, []string{"/l.conf: owned by user 54321"}},
		{"a link to a file that is everybody's", func(t *testing.T, dir, outside string) {
			must(t, os.Chmod(outside+"/b", 0o666))
			link(t, dir, outside+"/b")
		}, []string{"/l.conf: mode 0666"}},
		{"another's link", func(t *testing.T, dir, outside string) {
			link(t, dir, outside+"/b")
			chown(t, dir+"/l.conf", another)
		}, nil}, // in this directory nobody else can have put it
		{"a link to a directory", func(t *testing.T, dir, outside string) { link(t, dir, outside) },
			[]string{"/l.conf: not a regular file"}},
		{"a link to a FIFO", func(t *testing.T, dir, outside string) {
			must(t, unix.Mkfifo(outside+"/f", 0o600))
			link(t, dir, outside+"/f")
		}, []string{"/l.conf: not a regular file"}},
		{"a link to a device", func(t *testing.T, dir, _ string) { link(t, dir, "/dev/zero") },
			[]string{"/l.conf: not a regular file"}},
		{"a socket", func(t *testing.T, dir, _ string) {
			must(t, unix.Mknod(dir+"/l.conf", unix.S_IFSOCK|0o600, 0))
		}, []string{"/l.conf: not a regular file"}},
		{"a directory", func(t *testing.T, dir, _ string) { must(t, os.Mkdir(dir+"/l.conf", 0o755)) },
			[]string{"/l.conf: not a regular file"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir, outside := newDir(t, "a.conf", "size=1G\n", "z.conf", "size=3G\n"), newDir(t, "b", "size=2G\n")
			tt.setUp(t, dir, outside)
			err := Check(dir, func(string, []Setting) error { return nil })
			d, log := watch(t, dir)
			d.Start()
			if tt.want == nil {
				if err != nil || log.errors != nil {
					t.Errorf("got %v, and in the log %q, want no error", err, log.errors)
				}
				return
			}
			testkit.Contains(t, err, tt.want...)
			testkit.Contains(t, errors.New(strings.Join(log.errors, "\n")), tt.want...)
			if strings.HasPrefix(tt.want[0], "exports: ") {
				wantFind(t, d, "z", "")
			} else {
				wantFind(t, d, "z", "size=3G;")
			}
		})
	}
}

func link(t testing.TB, dir, target string) {
	t.Helper()
	must(t, os.Symlink(target, filepath.Join(dir, "l.conf")))
}
