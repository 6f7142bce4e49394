// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package export

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestDir(t *testing.T) {
	dir := newDir(t, "b.conf", "k=1\n", "a.conf", "k=2\n")
	d, j := watch(t, dir)
	d.Start()
	slices.Sort(j.loads) // they are loaded side by side
	slices.Sort(j.debug)
	want(t, "loads", &j.loads, "a k=2;", "b k=1;")
	want(t, "debug", &j.debug, "export a: loaded from "+dir+"/a.conf", "export b: loaded from "+dir+"/b.conf")
	wantFind(t, d, "a", "k=2;")
	wantFind(t, d, "c", "")

	write(t, dir+"/c.conf", "k=3\n")
	wantFind(t, d, "c", "k=3;")
	want(t, "loads of a new one", &j.loads, "c k=3;")

	replace(t, dir+"/a.conf", "k=4\n")
	wantFind(t, d, "a", "k=4;")
	want(t, "loads of one that was replaced", &j.loads, "a k=4;")
	want(t, "retired", &j.retired, "a k=2;")

	write(t, dir+"/a.conf", "k=55\n")
	wantFind(t, d, "a", "k=55;")
	want(t, "retired", &j.retired, "a k=4;")

	must(t, os.Remove(dir+"/a.conf"))
	wantFind(t, d, "b", "k=1;")
	want(t, "retired by a look at another", &j.retired, "a k=55;")
	wantFind(t, d, "a", "")
	names := ""
	for _, e := range d.All() {
		names += e.name + " " + e.text
	}
	if want := "b k=1;c k=3;"; names != want {
		t.Errorf("got %q, want %q", names, want)
	}
	j.loads, j.debug = nil, nil

	d.Stop()
	d.Stop()
	wantFind(t, d, "b", "")
	if got := d.All(); got != nil {
		t.Errorf("got %v after the stop, want nothing", got)
	}
	if len(j.retired) != 2 {
		t.Errorf("got %q retired by the stop, want two", j.retired)
	}
	want(t, "loads after the stop", &j.loads)
	want(t, "errors", &j.errors)
}

func TestBadNamesAreLoggedOnce(t *testing.T) {
	dir := newDir(t, "a.conf", "k=1\n", "a b.conf", "k=2\n")
	d, j := watch(t, dir)
	for range 3 {
		d.Start()
	}
	want(t, "errors", &j.errors, "export-dir: "+dir+`: "a b.conf": not the name of an export...`)
	wantFind(t, d, "a b", "")
	write(t, dir+"/c d.conf", "k=1\n")
	d.Start()
	want(t, "errors", &j.errors, "export-dir: "+dir+`: "c d.conf": not the name of an export...`)
}

// Names that clients make up reach no file. All of these files would be good.
func TestHostileNames(t *testing.T) {
	dir := newDir(t, "a.conf", "k=1\n", ".hidden.conf", "k=secret\n", "plain", "k=secret\n", ".conf", "k=secret\n")
	outside := filepath.Dir(dir) + "/secret.conf"
	write(t, outside, "k=secret\n")
	must(t, os.Mkdir(dir+"/sub", 0o755))
	write(t, dir+"/sub/x.conf", "k=secret\n")
	d, j := watch(t, dir)
	for _, name := range []string{
		"", ".", "..", "/", "../secret", "./a", "a/", "//a", "a.conf", "sub/x", "sub/../../secret", ".hidden", "plain",
		strings.TrimSuffix(outside, ".conf"), dir + "/a", "a\x00", "a\x00.conf", "\x00", "\xff", "a\n", "A", "a/../a",
		strings.Repeat("a", 4096), strings.Repeat("../", 1365) + "x", strings.Repeat("\xff", 4096), "%s", "*",
	} {
		wantFind(t, d, name, "")
	}
	want(t, "loads", &j.loads)
	wantFind(t, d, "a", "k=1;")
	want(t, "loads", &j.loads, "a k=1;")
	want(t, "errors", &j.errors)
}

// A value that Retire is told of can be looked for again: the lock is free.
func TestRetireMayCall(t *testing.T) {
	dir := newDir(t, "a.conf", "k=1\n")
	var d *Dir[string]
	found := ""
	d = New(Options[string]{
		Dir:    dir,
		Load:   func(_ string, s []Setting) (string, error) { return s[0].Value, nil },
		Retire: func(string) { found, _ = d.Find("a") },
		Debug:  testkit.Debug(t), LogError: testkit.Debug(t),
	})
	d.Start()
	replace(t, dir+"/a.conf", "k=2\n")
	d.Find("a")
	if found != "2" {
		t.Errorf("got %q, want the new one", found)
	}
}

// A Load that panics, which the caller survives, leaves no lock behind.
func TestLoadThatPanics(t *testing.T) {
	dir := newDir(t, "a.conf", "k=1\n", "b.conf", "k=2\n")
	d, j := watch(t, dir)
	load := d.opts.Load
	d.opts.Load = func(name string, s []Setting) (*made, error) {
		if name == "a" {
			panic("a")
		}
		return load(name, s)
	}
	func() {
		defer func() { recover() }()
		d.Find("a")
		t.Error("got no panic")
	}()
	wantFind(t, d, "b", "k=2;")
	want(t, "loads", &j.loads, "b k=2;")
}

func BenchmarkFind(b *testing.B) {
	var files []string
	for i := range 200 {
		files = append(files, fmt.Sprintf("export%d.conf", i), "size=1G\ntype=ext4\n")
	}
	d, _ := watch(b, newDir(b, files...))
	d.opts.Debug = testkit.Quiet
	settled(d)
	d.Start()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		if _, ok := d.Find("export100"); !ok {
			b.Fatal("not found")
		}
	}
}

// Any client can have these called, under a lock that all others need. A file that has
// changed without being looked at shows how many were.
func TestLooksAtFewFiles(t *testing.T) {
	var files []string
	for i := range 30 {
		files = append(files, fmt.Sprintf("e%02d.conf", i), "k=1\n")
	}
	dir := newDir(t, append(files, "e00a.conf", "bad=1\n")...)
	d, j := watch(t, dir)
	clock := testkit.NewClockAt(time.Now().Add(time.Hour)) // all files are old
	d.opts.clock = clock
	d.Start()
	change := func() {
		t.Helper()
		for i := range 30 {
			write(t, fmt.Sprintf("%s/e%02d.conf", dir, i), fmt.Sprintf("k=%d\n", 100+len(j.loads)))
		}
		j.loads = nil
	}
	change()
	names, count := d.Some(3)
	if want := []string{"e00", "e01"}; !slices.Equal(names, want) || count != 30 || len(j.loads) != 2 {
		t.Errorf("some: got %q of %d, %d loaded anew, want %q of 30, 2 loaded anew", names, count, len(j.loads), want)
	}
	change()
	for range 3 {
		if got := len(d.All()); got != 30 || len(j.loads) != 0 {
			t.Errorf("all, within a second: got %d, %d loaded anew, want 30 and none", got, len(j.loads))
		}
	}
	clock.Pass(pause)
	if got := len(d.All()); got != 30 || len(j.loads) != 30 {
		t.Errorf("all, a second later: got %d, %d loaded anew, want 30 and 30", got, len(j.loads))
	}
	write(t, dir+"/new.conf", "k=1\n")
	if got := len(d.All()); got != 31 {
		t.Errorf("with a new file: got %d exports, want 31", got)
	}
	if names, count := d.Some(0); names != nil || count != 31 {
		t.Errorf("none: got %q of %d, want none of 31", names, count)
	}
	d.Stop()
	if names, count := d.Some(9); names != nil || count != 0 {
		t.Errorf("after the stop: got %q of %d, want none", names, count)
	}
}
