// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestCheck(t *testing.T) {
	chmod := func(t *testing.T, dir string, mode uint32) {
		testkit.Must(t, unix.Chmod(dir, mode))
	}
	link := func(t *testing.T, dir, target string) string {
		testkit.Must(t, os.Symlink(target, dir+"/x"))
		return dir + "/x"
	}
	tests := []struct {
		name    string
		prepare func(t *testing.T, dir string) string // returns the path
		want    []string                              // nil if nothing is wrong
	}{
		{"nothing there", func(_ *testing.T, dir string) string { return dir + "/x" }, nil},
		{"a file", func(t *testing.T, dir string) string { put(t, dir+"/x", ""); return dir + "/x" }, nil},
		{"a link to a file", func(t *testing.T, dir string) string { put(t, dir+"/y", ""); return link(t, dir, "y") }, nil},
		{"a dangling link", func(t *testing.T, dir string) string { return link(t, dir, "y") }, nil},
		{"sticky", func(t *testing.T, dir string) string { chmod(t, dir, 0o1777); return dir + "/x" }, nil},

		{"a directory", func(_ *testing.T, dir string) string { return dir },
			[]string{"not a regular file", "name a file"}},
		{"a link to a device", func(t *testing.T, dir string) string { return link(t, dir, "/dev/null") },
			[]string{"/x: not a regular file"}},
		{"for the group", func(t *testing.T, dir string) string { chmod(t, dir, 0o775); return dir + "/x" },
			[]string{"mode 0775", "chmod go-w"}},
		{"for all", func(t *testing.T, dir string) string { chmod(t, dir, 0o777); return dir + "/x" },
			[]string{"mode 0777", "chmod go-w"}},
		{"no directory", func(_ *testing.T, dir string) string { return dir + "/y/x" },
			[]string{"/y: no such file", "create it"}},
		{"below a file", func(t *testing.T, dir string) string { put(t, dir+"/y", ""); return dir + "/y/x" },
			[]string{"/y: not a directory", "name a directory"}},
		{"further below a file", func(t *testing.T, dir string) string { put(t, dir+"/y", ""); return dir + "/y/z/x" },
			[]string{"/y/z: not a directory"}},
		{"read-only", func(t *testing.T, _ string) string {
			dir := testkit.Tmpfs(t, "64K")
			testkit.Must(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
			return dir + "/x"
		}, []string{": read-only", "nothing can be kept there"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := tt.prepare(t, t.TempDir())
			before, _ := os.ReadDir(filepath.Dir(path))
			err := Check(path)
			if tt.want != nil {
				testkit.Contains(t, err, tt.want...)
			} else if err != nil {
				t.Errorf("got %v, want no error", err)
			}
			if after, _ := os.ReadDir(filepath.Dir(path)); len(after) != len(before) {
				t.Errorf("got %v, want nothing changed", after)
			}
		})
	}
}

func TestCheckMetrics(t *testing.T) {
	dir := t.TempDir()
	if err := CheckMetrics(dir + "/x.prom"); err != nil {
		t.Errorf("got %v, want no error", err)
	}
	testkit.Contains(t, CheckMetrics(dir+"/x.txt"), "/x.txt: ", "must end in .prom")
	testkit.Contains(t, CheckMetrics(dir+"/y/x.prom"), "/y: no such file")
}
