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

func chmod(t testing.TB, path string, mode uint32) {
	t.Helper()
	testkit.Must(t, unix.Chmod(path, mode))
}

// The owner can only be judged once the server has its final user.
func TestTemplateParentOwner(t *testing.T) {
	testkit.NeedRoot(t)
	dir := t.TempDir()
	testkit.Must(t, os.Chown(dir, 12345, 12345))
	_, err := templatesIn(t, dir, 1<<20, "true").Make(context.Background())
	testkit.Contains(t, err, "parameter template-dir: ", dir, "owned by user 12345", "must belong to root")
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
			testkit.NeedRoot(t)
			testkit.Must(t, os.Chown(private, 12345, 0))
		}, "is owned by user 12345"},
		{"directory a link", func(t *testing.T, private, _ string) {
			testkit.Must(t, os.Rename(private, private+"-elsewhere"))
			testkit.Must(t, os.Symlink(private+"-elsewhere", private))
		}, "is a symbolic link"},
		{"directory a file", func(t *testing.T, private, _ string) {
			testkit.Must(t, os.RemoveAll(private))
			testkit.Must(t, os.WriteFile(private, nil, 0o700))
		}, "is not a directory"},
		{"template writable by others", func(t *testing.T, _, template string) { chmod(t, template, 0o602) },
			"has mode 0602"},
		{"template of another", func(t *testing.T, _, template string) {
			testkit.NeedRoot(t)
			testkit.Must(t, os.Chown(template, 12345, 0))
		}, "is owned by user 12345"},
		{"template a link", func(t *testing.T, _, template string) {
			testkit.Must(t, os.Rename(template, template+"-elsewhere"))
			testkit.Must(t, os.Symlink(template+"-elsewhere", template))
		}, "is a symbolic link"},
		{"template a FIFO", func(t *testing.T, _, template string) {
			testkit.Must(t, os.Remove(template))
			testkit.Must(t, unix.Mkfifo(template, 0o600))
		}, "is not a regular file"},
		{"lock a link", func(t *testing.T, _, template string) {
			testkit.Must(t, os.Rename(template, template+"-elsewhere"))
			testkit.Must(t, os.Symlink(template+"-elsewhere", template+".lock"))
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
