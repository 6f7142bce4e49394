// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package export

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// hangs makes Load hang for one export until goOn is closed. Once it does, nobody is
// patient any more.
func hangs(d *Dir[*made], name string) (goOn chan struct{}) {
	goOn = make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	d.opts.patience = func() (context.Context, context.CancelFunc) { return ctx, func() {} }
	load := d.opts.Load
	d.opts.Load = func(n string, s []Setting) (*made, error) {
		if n == name {
			cancel()
			<-goOn
		}
		return load(n, s)
	}
	return goOn
}

// patient is for those who must not wait for what hangs, and need wait for nothing else.
func patient(d *Dir[*made]) {
	d.opts.patience = func() (context.Context, context.CancelFunc) { return context.Background(), func() {} }
}

// When what a changed file names hangs, its last good version stays in force, and
// other exports are as they were.
func TestLoadThatHangs(t *testing.T) {
	dir := newDir(t, "a.conf", "k=1\n", "b.conf", "k=1\n")
	d, j := watch(t, dir)
	d.Start()
	goOn := hangs(d, "a")
	replace(t, dir+"/a.conf", "k=2\n")
	write(t, dir+"/c.conf", "k=3\n")
	wantFind(t, d, "a", "k=1;")
	patient(d)
	for range 3 {
		wantFind(t, d, "a", "k=1;")
	}
	replace(t, dir+"/b.conf", "k=2\n")
	wantFind(t, d, "b", "k=2;")
	wantFind(t, d, "c", "k=3;")
	if got := d.All(); len(got) != 3 {
		t.Errorf("got %d exports, want 3", len(got))
	}
	want(t, "errors", &j.errors, "export-dir: "+dir+"/a.conf: it, or a file or directory that it names, does not answer: its last good version...")
	close(goOn)
	testkit.WaitFor(t, "the answer", func() bool { v, _ := d.Find("a"); return v.text == "k=2;" })
	want(t, "retired", &j.retired, "b k=1;", "a k=1;")
}

// What has hung until its file was gone, or the server ends, is retired.
func TestLoadThatHangsForTooLong(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(d *Dir[*made], dir string)
	}{
		{"stopped", func(d *Dir[*made], _ string) { d.Stop() }},
		{"removed", func(d *Dir[*made], dir string) { mustRemove(t, dir+"/a.conf"); d.Find("a") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := newDir(t, "a.conf", "k=1\n")
			d, j := watch(t, dir)
			goOn := hangs(d, "a")
			wantFind(t, d, "a", "")
			want(t, "errors", &j.errors, "export-dir: "+dir+"/a.conf: it, or a file or directory that it names, does not answer: there is no such export...")
			patient(d)
			tt.end(d, dir)
			close(goOn)
			testkit.WaitFor(t, "the end", func() bool {
				j.mu.Lock()
				defer j.mu.Unlock()
				return slices.Equal(j.retired, []string{"a k=1;"})
			})
			wantFind(t, d, "a", "")
		})
	}
}

// A directory that hangs has the exports that it had.
func TestDirectoryThatHangs(t *testing.T) {
	dir, stop, goOn := testkit.HangingFUSE(t)
	write(t, dir+"/a.conf", "k=1\n")
	d, j := watch(t, dir)
	patient(d)
	d.Start()
	d.opts.patience = patience
	stop()
	for range 3 {
		wantFind(t, d, "a", "k=1;")
		wantFind(t, d, "b", "")
	}
	if got := d.All(); len(got) != 1 {
		t.Errorf("got %v, want one", got)
	}
	if names, n := d.Some(9); n != 1 || !slices.Equal(names, []string{"a"}) {
		t.Errorf("got %q of %d, want a", names, n)
	}
	goOn()
	want(t, "errors", &j.errors, "export-dir: "+dir+": does not answer: exports stay as they were")
	write(t, dir+"/b.conf", "k=2\n")
	testkit.WaitFor(t, "the answer", func() bool { _, ok := d.Find("b"); return ok })
}

// However many files hang, whoever asks for the list, or for an export that there is not,
// waits once; and the start comes by all of them.
func TestManyFilesThatHang(t *testing.T) {
	for _, tt := range []struct {
		name string
		ask  func(d *Dir[*made])
		most int // files that are asked for at most
	}{
		{"start", (*Dir[*made]).Start, 50},
		{"list", func(d *Dir[*made]) { d.All() }, together},
		{"unknown", func(d *Dir[*made]) { d.Some(9) }, 9},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var files []string
			for i := range 50 {
				files = append(files, fmt.Sprintf("e%02d.conf", i), "k=1\n")
			}
			d, j := watch(t, newDir(t, files...))
			ctx, tired := context.WithCancel(context.Background())
			d.opts.patience = func() (context.Context, context.CancelFunc) {
				if ctx.Err() != nil {
					return patience()
				}
				return ctx, func() {}
			}
			var hang atomic.Int64
			goOn, load := make(chan struct{}), d.opts.Load
			d.opts.Load = func(n string, s []Setting) (*made, error) {
				hang.Add(1)
				<-goOn
				return load(n, s)
			}
			asked := make(chan struct{})
			go func() {
				defer close(asked)
				tt.ask(d)
			}()
			atOnce := int64(min(tt.most, together))
			testkit.WaitFor(t, "files that hang together", func() bool { return hang.Load() == atOnce })
			tired()
			<-asked
			if got := hang.Load(); got != int64(tt.most) {
				t.Errorf("got %d files looked at, want %d", got, tt.most)
			}
			if len(j.errors) != tt.most {
				t.Errorf("got %d errors, want one for each of these", len(j.errors))
			}
			close(goOn)
			testkit.WaitFor(t, "the answers", func() bool { return len(d.All()) == 50 })
		})
	}
}

// A Load that panics while others are loaded ends the caller, and nobody else.
func TestLoadThatPanicsAmongOthers(t *testing.T) {
	d, j := watch(t, newDir(t, "a.conf", "k=1\n", "b.conf", "k=2\n"))
	load := d.opts.Load
	d.opts.Load = func(name string, s []Setting) (*made, error) {
		if name == "a" {
			panic("oops")
		}
		return load(name, s)
	}
	func() {
		defer func() {
			if got := recover(); got != "oops" {
				t.Errorf("got %v, want the panic", got)
			}
		}()
		d.All()
	}()
	want(t, "loads", &j.loads, "b k=2;")
}
