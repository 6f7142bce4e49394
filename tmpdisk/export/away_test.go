// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package export

import (
	"os"
	"path/filepath"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestDirectoryThatCannotBeRead(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, dir string)
		mend  func(t *testing.T, dir string)
		log   string
		needs func(t *testing.T)
	}{
		{name: "gone", log: ": no such file or directory: ...",
			spoil: func(t *testing.T, dir string) { must(t, os.Rename(dir, dir+".old")) },
			mend:  func(t *testing.T, dir string) { must(t, os.Rename(dir+".old", dir)) }},
		{name: "a file", log: ": not a directory: ...",
			spoil: func(t *testing.T, dir string) { must(t, os.Rename(dir, dir+".old")); write(t, dir, "x") },
			mend:  func(t *testing.T, dir string) { must(t, os.Remove(dir)); must(t, os.Rename(dir+".old", dir)) }},
		{name: "everybody's", log: ": mode 0777: ...",
			spoil: func(t *testing.T, dir string) { must(t, os.Chmod(dir, 0o777)) },
			mend:  func(t *testing.T, dir string) { must(t, os.Chmod(dir, 0o755)) }},
		{name: "unreadable", log: ": permission denied: ...",
			needs: func(t *testing.T) {
				if os.Geteuid() == 0 {
					t.Skip("root can read all")
				}
			},
			spoil: func(t *testing.T, dir string) { must(t, os.Chmod(dir, 0)) },
			mend:  func(t *testing.T, dir string) { must(t, os.Chmod(dir, 0o755)) }},
		{name: "something is mounted over it", log: ": is on another filesystem now...",
			spoil: func(t *testing.T, dir string) {
				tmp := testkit.Tmpfs(t, "1M")
				must(t, os.Chmod(tmp, 0o755))
				must(t, os.Rename(dir, dir+".old"))
				must(t, os.Symlink(tmp, dir))
			},
			mend: func(t *testing.T, dir string) { must(t, os.Remove(dir)); must(t, os.Rename(dir+".old", dir)) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.needs != nil {
				tt.needs(t)
			}
			// Behind a link it is the same directory again once it is mended.
			dir := filepath.Join(t.TempDir(), "link")
			must(t, os.Symlink(newDir(t, "a.conf", "k=1\n", "b.conf", "bad=1\n"), dir))
			d, j := watch(t, dir)
			settled(d)
			d.Start()
			j.errors, j.loads = nil, nil
			for range 2 {
				tt.spoil(t, dir)
				for range 3 {
					wantFind(t, d, "a", "k=1;")
					wantFind(t, d, "b", "")
				}
				if got := d.All(); len(got) != 1 {
					t.Errorf("got %v, want one export", got)
				}
				want(t, "errors", &j.errors, "export-dir: "+dir+tt.log)
				tt.mend(t, dir)
				wantFind(t, d, "a", "k=1;")
			}
			want(t, "loads", &j.loads)
			want(t, "retired", &j.retired)
			write(t, dir+"/a.conf", "k=2\n")
			wantFind(t, d, "a", "k=2;")
			want(t, "errors after it was mended", &j.errors)
		})
	}
}

func TestDirectoryReplaced(t *testing.T) {
	dir := newDir(t, "a.conf", "k=1\n", "b.conf", "k=2\n")
	d, j := watch(t, dir)
	settled(d)
	d.Start()
	j.loads = nil
	must(t, os.Rename(dir, dir+".old"))
	must(t, os.Rename(newDir(t, "a.conf", "k=1\n", "c.conf", "k=3\n"), dir))
	wantFind(t, d, "a", "k=1;")
	wantFind(t, d, "b", "")
	wantFind(t, d, "c", "k=3;")
	want(t, "loads", &j.loads, "c k=3;")
	want(t, "retired", &j.retired, "b k=2;")

	must(t, os.Rename(dir, dir+".2"))
	must(t, os.Rename(newDir(t), dir))
	if got := d.All(); got != nil {
		t.Errorf("got %v of an empty directory, want none", got)
	}
}

// A filesystem that has exports counts, whatever was there before it was mounted.
func TestDirectoryOnAnotherFilesystem(t *testing.T) {
	tmp := testkit.Tmpfs(t, "1M")
	must(t, os.Chmod(tmp, 0o755))
	write(t, tmp+"/b.conf", "k=2\n")
	dir := newDir(t, "a.conf", "k=1\n")
	d, j := watch(t, dir)
	d.Start()
	must(t, os.Rename(dir, dir+".old"))
	must(t, os.Symlink(tmp, dir))
	wantFind(t, d, "b", "k=2;")
	wantFind(t, d, "a", "")
	want(t, "retired", &j.retired, "a k=1;")
	want(t, "errors", &j.errors)
}

// The directory goes away between the look at it and the look at a file.
func TestDirectoryGoneMeanwhile(t *testing.T) {
	dir := newDir(t, "a.conf", "k=1\n")
	d, j := watch(t, dir)
	d.Start()
	must(t, os.Rename(dir, dir+".old"))
	d.update(d.files["a"])
	if d.files["a"] == nil {
		t.Error("the export is gone, want it kept")
	}
	want(t, "retired", &j.retired)
}
