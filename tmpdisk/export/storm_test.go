// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package export

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// version is a text whose parts all have its number.
func version(n int) string {
	text := ""
	for i := range 1 + n%7 {
		text += fmt.Sprintf("k%d=%d\n", i, n)
	}
	return text + fmt.Sprintf("end=%d\n", n)
}

// whole is whether it is what Load was given of a version.
func whole(text string) bool {
	var n int
	_, last, _ := strings.Cut(text, "end=")
	if _, err := fmt.Sscanf(last, "%d;", &n); err != nil {
		return false
	}
	return text == strings.ReplaceAll(version(n), "\n", ";")
}

// Clients come all the time while a file is changed again and again. They see
// complete versions only, and the last one in the end.
func TestStorm(t *testing.T) {
	const rounds = 300
	tests := []struct {
		name   string
		change func(t testing.TB, path, text string)
		always bool // the export exists all the time
	}{
		{"renamed", replace, true},
		{"in place", write, true},
		{"in place, in pieces", inPieces, true},
		{"removed first", func(t testing.TB, path, text string) {
			must(t, os.Remove(path))
			replace(t, path, text)
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := newDir(t, "a.conf", version(0), "b.conf", version(0))
			d, j := watch(t, dir)
			d.Start()
			var done atomic.Bool
			var clients sync.WaitGroup
			for i := range 3 {
				clients.Add(1)
				go func() {
					defer clients.Done()
					for !done.Load() {
						if v, ok := d.Find("a"); !ok && tt.always || ok && !whole(v.text) {
							t.Errorf("got %+v, %v, want a complete version", v, ok)
						}
						if got := len(d.All()); i == 0 && (got < 1 || tt.always && got != 2) {
							t.Errorf("got %d exports, want 2", got)
						}
					}
				}()
			}
			for n := 1; n <= rounds; n++ {
				tt.change(t, dir+"/a.conf", version(n))
			}
			done.Store(true)
			clients.Wait()
			wantFind(t, d, "a", strings.ReplaceAll(version(rounds), "\n", ";"))
			d.Stop()
			if len(j.loads) < 3 || len(j.loads) != len(j.retired) {
				t.Errorf("got %d loads and %d retired, want as many", len(j.loads), len(j.retired))
			}
			t.Logf("%d loads, %d errors", len(j.loads), len(j.errors))
		})
	}
}

// inPieces leaves half a line at the end until all is written.
func inPieces(t testing.TB, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	must(t, err)
	for text != "" {
		n := min(5, len(text))
		for n < len(text) && text[n-1] == '\n' {
			n++
		}
		_, err := f.WriteString(text[:n])
		must(t, err)
		text = text[n:]
	}
	must(t, f.Close())
}

// A file that changes while it is read is not used, nor is it an error.
func TestChangedWhileRead(t *testing.T) {
	dir := newDir(t, "a.conf", "k=1\n")
	d, j := watch(t, dir)
	d.Start()
	// The kernel says of this file that it is empty, and gives text.
	must(t, os.Remove(dir+"/a.conf"))
	must(t, os.Symlink("/proc/version", dir+"/a.conf"))
	wantFind(t, d, "a", "k=1;")
	want(t, "errors", &j.errors)
	o, err := openFolder(dir)
	must(t, err)
	defer o.Close()
	if _, _, err := o.read("a.conf"); err != errBusy {
		t.Errorf("got %v, want %v", err, errBusy)
	}
	must(t, os.Remove(dir+"/a.conf"))
	write(t, dir+"/a.conf", "k=2\n")
	wantFind(t, d, "a", "k=2;")
}
