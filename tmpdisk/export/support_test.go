// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package export

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// another is a user that is neither root nor this one.
const another = 54321

// newDir makes a directory with files, which are given as NAME, text, NAME, text.
func newDir(t testing.TB, files ...string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "exports")
	must(t, os.Mkdir(dir, 0o755))
	must(t, os.Chmod(dir, 0o755)) // whatever the umask
	for i := 0; i < len(files); i += 2 {
		write(t, filepath.Join(dir, files[i]), files[i+1])
	}
	return dir
}

func must(t testing.TB, err error) {
	t.Helper()
	testkit.Must(t, err)
}

func mustRemove(t testing.TB, path string) {
	t.Helper()
	must(t, os.Remove(path))
}

// write edits a file in place.
func write(t testing.TB, path, text string) {
	t.Helper()
	must(t, os.WriteFile(path, []byte(text), 0o644))
	must(t, os.Chmod(path, 0o644))
}

// replace puts a new file in the place of an old one.
func replace(t testing.TB, path, text string) {
	t.Helper()
	write(t, path+".new", text)
	must(t, os.Rename(path+".new", path))
}

func chown(t testing.TB, path string, uid int) {
	t.Helper()
	testkit.NeedRoot(t)
	must(t, os.Lchown(path, uid, -1))
}

// A made stands for what clients are served from: the file's settings, as one
// writes them.
type made struct {
	name, text string
}

// A journal has what a Dir did. It may be read while the Dir is not in use.
type journal struct {
	mu             sync.Mutex
	loads, retired []string // "NAME TEXT"
	errors, debug  []string
}

// watch returns a Dir whose Load takes all settings but those whose key is bad.
func watch(t testing.TB, path string) (*Dir[*made], *journal) {
	j := &journal{}
	d := New(Options[*made]{
		Dir: path,
		Load: func(name string, settings []Setting) (*made, error) {
			j.mu.Lock()
			defer j.mu.Unlock()
			text := ""
			for _, s := range settings {
				if s.Key == "bad" {
					return nil, AtLine(s.Line, errors.New("parameter bad: "+s.Value))
				}
				text += s.Key + "=" + s.Value + ";"
			}
			j.loads = append(j.loads, name+" "+text)
			return &made{name, text}, nil
		},
		Retire: func(v *made) {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.retired = append(j.retired, v.name+" "+v.text)
		},
		Debug: func(msg string) {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.debug = append(j.debug, msg)
		},
		LogError: func(msg string) {
			j.mu.Lock()
			defer j.mu.Unlock()
			if strings.Contains(msg, "\n") || !strings.HasPrefix(msg, "export-dir: ") {
				t.Errorf("got %q in the log, want one line that begins with export-dir", msg)
			}
			j.errors = append(j.errors, msg)
		},
	})
	return d, j
}

// settled makes d think that all files are old.
func settled(d *Dir[*made]) {
	d.opts.clock = testkit.NewClockAt(time.Now().Add(time.Hour))
}

// wantFind fails the test unless the export is served from text; "" is for none.
func wantFind(t testing.TB, d *Dir[*made], name, text string) {
	t.Helper()
	got, ok := d.Find(name)
	if ok != (text != "") || ok && (got.name != name || got.text != text) {
		t.Errorf("%.40q: got %+v, %v, want %q", name, got, ok, text)
	}
}

// want fails the test unless got is what happened since it was asked last, or
// begins so where a wanted line ends in three dots.
func want(t testing.TB, what string, got *[]string, want ...string) {
	t.Helper()
	same := slices.EqualFunc(*got, want, func(got, want string) bool {
		start, open := strings.CutSuffix(want, "...")
		return got == want || open && strings.HasPrefix(got, start)
	})
	if !same {
		t.Errorf("%s: got %q, want %q", what, *got, want)
	}
	*got = nil
}
