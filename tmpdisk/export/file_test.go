// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package export

import (
	"errors"
	"os"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestErrorKeepsTheLastGoodVersion(t *testing.T) {
	dir := newDir(t, "a.conf", "k=1\n", "b.conf", "bad=1\n")
	a, b := dir+"/a.conf", dir+"/b.conf"
	d, j := watch(t, dir)
	d.Start()
	d.Start()
	want(t, "errors at the start", &j.errors, "export-dir: "+b+": line 1: parameter bad: 1: there is no such export until this is mended")
	wantFind(t, d, "b", "")

	steps := []struct {
		name, text, log string
	}{
		{"no such setting", "k=1\nbad=1\n", "line 2: parameter bad: 1: its last good version stays in force"},
		{"another", "k=1\nbad=2\n", "line 2: parameter bad: 2: its last good version stays in force"},
		{"half", "k=", "line 1: does not end in a newline..."},
		{"empty", "", "line 1: the file is empty..."},
		{"the first once more", "k=1\nbad=1\n", "line 2: parameter bad: 1: ..."},
		{"another version with the same error", "k=2\nbad=1\n", "line 2: parameter bad: 1: ..."},
	}
	for _, s := range steps {
		write(t, a, s.text)
		for range 3 {
			wantFind(t, d, "a", "k=1;")
		}
		want(t, s.name, &j.errors, "export-dir: "+a+": "+s.log)
	}
	want(t, "loads", &j.loads, "a k=1;")

	write(t, a, "k=1\n")
	wantFind(t, d, "a", "k=1;")
	want(t, "loads of the version in force", &j.loads)
	write(t, a, "k=1\nbad=1\n")
	wantFind(t, d, "a", "k=1;")
	want(t, "errors after it was mended", &j.errors, "export-dir: "+a+": line 2: ...")

	replace(t, a, "k=3\n")
	replace(t, b, "k=4\n")
	wantFind(t, d, "a", "k=3;")
	wantFind(t, d, "b", "k=4;")
	want(t, "retired", &j.retired, "a k=1;")
	want(t, "errors at the end", &j.errors)
}

// What Load needs besides the text may be there now.
func TestTouchTriesAgain(t *testing.T) {
	dir := newDir(t, "a.conf", "k=1\n")
	tries, works := 0, false
	d := New(Options[string]{
		Dir: dir,
		Load: func(string, []Setting) (string, error) {
			tries++
			if !works {
				return "", errors.New("not there")
			}
			return "v", nil
		},
		Retire: func(string) {}, Debug: testkit.Debug(t), LogError: testkit.Debug(t),
	})
	for range 3 {
		if v, ok := d.Find("a"); ok {
			t.Errorf("got %q, want none", v)
		}
	}
	works = true
	if _, ok := d.Find("a"); ok || tries != 1 {
		t.Errorf("got %v after %d tries, want no second one for the same file", ok, tries)
	}
	must(t, os.Chtimes(dir+"/a.conf", time.Now(), time.Unix(1e9, 0)))
	if v, ok := d.Find("a"); v != "v" || !ok {
		t.Errorf("got %q, %v after the touch, want v", v, ok)
	}
}

func TestFileThatCannotBeUsedAnyMore(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(t *testing.T, path string)
		log   string
	}{
		{"everybody's", func(t *testing.T, path string) { must(t, os.Chmod(path, 0o666)) }, "mode 0666: ..."},
		{"another's", func(t *testing.T, path string) { chown(t, path, another) }, "owned by user 54321..."},
		{"a directory", func(t *testing.T, path string) {
			must(t, os.Remove(path))
			must(t, os.Mkdir(path, 0o755))
		}, "not a regular file..."},
		{"a link to nothing", func(t *testing.T, path string) {
			must(t, os.Remove(path))
			must(t, os.Symlink("nothing", path))
		}, "no such file or directory: ..."},
		{"too long", func(t *testing.T, path string) { must(t, os.Truncate(path, 1<<40)) }, "1099511627776 bytes..."},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := newDir(t, "a.conf", "k=1\n")
			d, j := watch(t, dir)
			d.Start()
			tt.spoil(t, dir+"/a.conf")
			for range 3 {
				wantFind(t, d, "a", "k=1;")
			}
			want(t, "errors", &j.errors, "export-dir: "+dir+"/a.conf: "+tt.log)
			must(t, os.RemoveAll(dir+"/a.conf"))
			wantFind(t, d, "a", "")
			want(t, "retired", &j.retired, "a k=1;")
		})
	}
}

func TestLinkedFile(t *testing.T) {
	dir, outside := newDir(t), newDir(t, "x", "k=1\n")
	must(t, os.Symlink(outside+"/x", dir+"/a.conf"))
	d, j := watch(t, dir)
	settled(d)
	wantFind(t, d, "a", "k=1;")
	write(t, outside+"/x", "k=22\n")
	wantFind(t, d, "a", "k=22;")
	for range 2 {
		must(t, os.Rename(outside, outside+".old"))
		wantFind(t, d, "a", "k=22;")
		wantFind(t, d, "a", "k=22;")
		want(t, "errors", &j.errors, "export-dir: "+dir+"/a.conf: no such file...")
		must(t, os.Rename(outside+".old", outside))
		wantFind(t, d, "a", "k=22;")
	}
	must(t, os.Remove(dir+"/a.conf"))
	wantFind(t, d, "a", "")
}
