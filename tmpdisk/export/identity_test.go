// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package export

import (
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestSameTextIsNotLoadedAgain(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, path string)
	}{
		{"nothing", func(*testing.T, string) {}},
		{"touched", func(t *testing.T, path string) { must(t, os.Chtimes(path, time.Now(), time.Unix(1e9, 0))) }},
		{"written again", func(t *testing.T, path string) { write(t, path, "k=1\n") }},
		{"replaced", func(t *testing.T, path string) { replace(t, path, "k=1\n") }},
		{"another mode", func(t *testing.T, path string) { must(t, os.Chmod(path, 0o400)) }},
		{"changed, and changed back before a look", func(t *testing.T, path string) {
			write(t, path, "k=2\n")
			write(t, path, "k=1\n")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := newDir(t, "a.conf", "k=1\n")
			d, j := watch(t, dir)
			wantFind(t, d, "a", "k=1;")
			first, _ := d.Find("a")
			tt.change(t, dir+"/a.conf")
			for range 3 {
				if again, ok := d.Find("a"); !ok || again != first {
					t.Errorf("got %+v, %v, want the value that was there", again, ok)
				}
			}
			want(t, "loads", &j.loads, "a k=1;")
			want(t, "retired", &j.retired)
		})
	}
}

// A comment changes nothing that was made; the same settings in another order may.
func TestOtherText(t *testing.T) {
	dir := newDir(t, "a.conf", "k=1\nl=2\n")
	d, j := watch(t, dir)
	d.Start()
	replace(t, dir+"/a.conf", "# x\nk=1\n\nl=2\n")
	d.Start()
	want(t, "loads", &j.loads, "a k=1;l=2;")
	want(t, "retired", &j.retired)
	replace(t, dir+"/a.conf", "l=2\nk=1\n")
	d.Start()
	want(t, "loads", &j.loads, "a l=2;k=1;")
	want(t, "retired", &j.retired, "a k=1;l=2;")
}

// What Load could not do may be possible later, though the file is the same.
func TestLoadIsTriedAgain(t *testing.T) {
	dir := newDir(t, "a.conf", "bad=1\n")
	d, j := watch(t, dir)
	clock := testkit.NewClockAt(time.Now())
	d.opts.clock = clock
	load := d.opts.Load
	mended := false
	d.opts.Load = func(name string, settings []Setting) (*made, error) {
		if mended {
			return &made{name, "mended"}, nil
		}
		return load(name, settings)
	}
	for range 3 {
		clock.Pass(time.Minute)
		if _, ok := d.Find("a"); ok {
			t.Fatal("got an export, want none")
		}
	}
	want(t, "log", &j.errors, "export-dir: "+dir+"/a.conf: line 1: parameter bad: 1: there is no such export until this is mended")
	mended = true
	if _, ok := d.Find("a"); ok {
		t.Error("it was tried again at once")
	}
	clock.Pass(time.Minute)
	if _, ok := d.Find("a"); !ok {
		t.Error("it was not tried again")
	}
}

// A second change within one tick of the filesystem's clock leaves size and times
// as they were.
func TestChangeWithinOneTick(t *testing.T) {
	tests := []struct {
		name string
		ago  time.Duration // that the change was when the file was read
		want string
	}{
		{"just now", 0, "k=2;"},
		{"a tick of FAT ago", 2 * time.Second, "k=2;"},
		{"long ago, which cannot be", time.Minute, "k=1;"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := newDir(t, "a.conf", "k=1\n")
			d, _ := watch(t, dir)
			d.opts.clock = testkit.NewClockAt(time.Now().Add(tt.ago))
			wantFind(t, d, "a", "k=1;")
			write(t, dir+"/a.conf", "k=2\n")
			st, err := stat(unix.AT_FDCWD, dir+"/a.conf", 0)
			must(t, err)
			d.files["a"].seen = identityOf(&st)
			wantFind(t, d, "a", tt.want)
		})
	}
	t.Run("a file that is new in the directory", func(t *testing.T) {
		dir := newDir(t)
		d, _ := watch(t, dir)
		wantFind(t, d, "a", "")
		write(t, dir+"/a.conf", "k=1\n")
		st, err := stat(unix.AT_FDCWD, dir, 0)
		must(t, err)
		d.seen = identityOf(&st)
		wantFind(t, d, "a", "k=1;")
	})
}

func TestFindReadsNothingWithoutAChange(t *testing.T) {
	dir := newDir(t, "a.conf", "k=1\n")
	d, _ := watch(t, dir)
	settled(d)
	wantFind(t, d, "a", "k=1;")
	// Reading would now be an error, or another text.
	d.files["a"].text, d.files["a"].tried = "other", "other"
	d.files["b"] = &file[*made]{name: "b", path: dir + "/b.conf"}
	first, _ := d.Find("a")
	for range 3 {
		if again, ok := d.Find("a"); again != first || !ok {
			t.Errorf("got %+v, %v, want nothing read", again, ok)
		}
	}
	if d.files["b"] == nil {
		t.Error("the directory was listed again")
	}
}
