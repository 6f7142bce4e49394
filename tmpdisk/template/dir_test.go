// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package template

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"

	"golang.org/x/sys/unix"
)

// notRoot says what a test cannot find out as root.
func notRoot(t *testing.T, why string) {
	if os.Geteuid() == 0 {
		t.Skip("as root: " + why)
	}
}

func chmod(t testing.TB, path string, mode uint32) {
	t.Helper()
	if err := unix.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestTemplateParent(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir string) string // returns template-dir=
		want  []string                              // nil if nothing is wrong
	}{
		{"private", func(t *testing.T, dir string) string { return dir }, nil},
		{"readable", func(t *testing.T, dir string) string { chmod(t, dir, 0o755); return dir }, nil},
		{"sticky", func(t *testing.T, dir string) string { chmod(t, dir, 0o1777); return dir }, nil},
		{"a link to it", func(t *testing.T, dir string) string {
			link := filepath.Join(t.TempDir(), "link")
			if err := os.Symlink(dir, link); err != nil {
				t.Fatal(err)
			}
			return link
		}, nil},
		{"missing", func(t *testing.T, dir string) string { return dir + "/no" },
			[]string{"/no", "no such file", "create it"}},
		{"a file", func(t *testing.T, dir string) string {
			if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
				t.Fatal(err)
			}
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
			err := Directories.Check(value)
			if tt.want == nil && err != nil {
				t.Errorf("got %v, want no error", err)
			}
			if tt.want != nil {
				testkit.Contains(t, err, append(tt.want, value)...)
			}
			if _, err := os.Stat(filepath.Join(value, Directories.DirName())); err == nil {
				t.Error("the check has made a directory")
			}
			d, err := openDir(value, true)
			if tt.want == nil {
				if err != nil {
					t.Fatalf("got %v, want no error", err)
				}
				d.Close()
				return
			}
			testkit.Contains(t, err, append(tt.want, "parameter template-dir: ", value)...)
		})
	}
}

// The owner can only be judged once the server has its final user.
func TestTemplateParentOwner(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	if err := os.Chown(dir, 12345, 12345); err != nil {
		t.Fatal(err)
	}
	_, err := templatesIn(t, dir, 1<<20, "true").Make(context.Background())
	testkit.Contains(t, err, "parameter template-dir: ", dir, "owned by user 12345", "must belong to user 0")
}

func TestTemplateTampering(t *testing.T) {
	tests := []struct {
		name string
		// spoil changes private, or template, which is in it.
		spoil func(t *testing.T, private, template string)
		want  string
	}{
		{"directory readable", func(t *testing.T, private, _ string) { chmod(t, private, 0o755) },
			"has mode 0755"},
		{"directory of another", func(t *testing.T, private, _ string) {
			needRoot(t)
			if err := os.Chown(private, 12345, 0); err != nil {
				t.Fatal(err)
			}
		}, "is owned by user 12345"},
		{"directory a link", func(t *testing.T, private, _ string) {
			if err := os.Rename(private, private+"-elsewhere"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(private+"-elsewhere", private); err != nil {
				t.Fatal(err)
			}
		}, "is a symbolic link"},
		{"directory a file", func(t *testing.T, private, _ string) {
			if err := os.RemoveAll(private); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(private, nil, 0o700); err != nil {
				t.Fatal(err)
			}
		}, "is not a directory"},
		{"template writable by others", func(t *testing.T, _, template string) { chmod(t, template, 0o602) },
			"has mode 0602"},
		{"template of another", func(t *testing.T, _, template string) {
			needRoot(t)
			if err := os.Chown(template, 12345, 0); err != nil {
				t.Fatal(err)
			}
		}, "is owned by user 12345"},
		{"template a link", func(t *testing.T, _, template string) {
			if err := os.Rename(template, template+"-elsewhere"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(template+"-elsewhere", template); err != nil {
				t.Fatal(err)
			}
		}, "is a symbolic link"},
		{"template a FIFO", func(t *testing.T, _, template string) {
			if err := os.Remove(template); err != nil {
				t.Fatal(err)
			}
			if err := unix.Mkfifo(template, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "is not a regular file"},
		{"lock a link", func(t *testing.T, _, template string) {
			if err := os.Rename(template, template+"-elsewhere"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(template+"-elsewhere", template+".lock"); err != nil {
				t.Fatal(err)
			}
		}, "is a symbolic link"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := templates(t, 1<<20, `printf made >"$disk"`)
			makeOne(t, m, "made")
			private := privateDir(m)
			tt.spoil(t, private, filepath.Join(private, kept(t, m)[0]))
			d, err := m.Make(context.Background())
			if err == nil {
				closeDisk(t, d)
			}
			testkit.Contains(t, err, "parameter template-dir: "+private, tt.want, "look who did, then remove it")
		})
	}
}

// Whatever the umask, the directory is private.
func TestTemplateDirMode(t *testing.T) {
	old := unix.Umask(0)
	defer unix.Umask(old)
	parent := t.TempDir()
	chmod(t, parent, 0o2700) // its set-group-ID bit is inherited
	for range 2 {
		d, err := openDir(parent, true)
		if err != nil {
			t.Fatal(err)
		}
		d.Close()
	}
	info, err := os.Stat(filepath.Join(parent, Directories.DirName()))
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("got mode %v, %v, want 0700", info.Mode(), err)
	}
}
