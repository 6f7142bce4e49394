// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package privdir

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

const random = "0123456789abcdef0123"

func TestSplitTemp(t *testing.T) {
	for name, want := range map[string]string{
		"a.tmp." + random:             "a",
		".x.prom.tmp." + random:       ".x.prom",
		"a.tmp.b.tmp." + random:       "a.tmp.b",
		".tmp." + random:              "",
		"a.tmp." + random[1:]:         "no",
		"a.tmp." + random + "0":       "no",
		"a.tmp.":                      "no",
		"a." + random:                 "no",
		random:                        "no",
		"":                            "no",
		"a.tmp." + random + ".tmp.no": "no",
	} {
		got, ok := SplitTemp(name)
		if ok && got != want || !ok && want != "no" {
			t.Errorf("%q: got %q, %v, want %q", name, got, ok, want)
		}
	}
	if prefix, ok := SplitTemp(TempName("a")); prefix != "a" || !ok {
		t.Errorf("a new name: got %q, %v, want a", prefix, ok)
	}
}

func TestSplitName(t *testing.T) {
	key := strings.Repeat("0123456789abcdef", 4)
	for name, want := range map[string]string{ // the kind
		key:                    "",
		key + ".disk":          "disk",
		key + ".tmp." + random: TempKind,
		key + ".":              "no",
		key + ".tmp":           "no",
		key + ".tmp.0123":      "tmp.0123",
		key[1:]:                "no",
		key + "0.disk":         "no",
		"lock":                 "no",
		"":                     "no",
	} {
		gotKey, kind, ok := SplitName(name)
		if ok && (gotKey != key || kind != want) || !ok && want != "no" {
			t.Errorf("%q: got %q, %q, %v, want kind %q", name, gotKey, kind, ok, want)
		}
	}
}

func opened(t *testing.T) *Dir {
	t.Helper()
	parent := t.TempDir()
	chmod(t, parent, 0o700)
	d, err := directories.Open(parent, true)
	testkit.Must(t, err)
	t.Cleanup(d.Close)
	return d
}

func temp(t *testing.T, d *Dir, text string) *os.File {
	t.Helper()
	f, unlocked, err := d.Temp("a")
	testkit.Must(t, errors.Join(unlocked, err))
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return f
}

func wantFiles(t *testing.T, d *Dir, want ...string) {
	t.Helper()
	if got := testkit.Names(t, d.Path()); strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got files %q, want %q", got, want)
	}
}

func TestPublish(t *testing.T) {
	d := opened(t)
	for _, keep := range []bool{false, true} {
		f := temp(t, d, "text")
		if prefix, ok := SplitTemp(filepath.Base(f.Name())); prefix != "a" || !ok {
			t.Errorf("got the name %s, want one with the prefix a", f.Name())
		}
		testkit.Must(t, d.Publish(f, "b", keep))
		wantFiles(t, d, "b")
		if got, err := os.ReadFile(d.Join("b")); err != nil || string(got) != "text" {
			t.Errorf("got %q, %v, want text", got, err)
		}
		// The lock is the file's, whatever it is called.
		if _, err := d.Lock("b", unix.O_RDWR); !errors.Is(err, unix.EWOULDBLOCK) {
			t.Errorf("got %v, want %v", err, unix.EWOULDBLOCK)
		}
	}
	f := temp(t, d, "")
	d.Discard(f)
	wantFiles(t, d, "b")
	testkit.Contains(t, d.Publish(f, "b", false), "rename", "no such file")
	testkit.Must(t, os.Mkdir(d.Join("dir"), 0o700))
	testkit.Contains(t, d.Publish(temp(t, d, ""), "dir", false), "rename")
	wantFiles(t, d, "b", "dir")
}

func TestSweepTemp(t *testing.T) {
	const name = "a.tmp." + random
	tests := []struct {
		name  string
		make  func(t *testing.T, d *Dir) string
		left  string // "" if it is swept
		error string
	}{
		{"its maker is dead", func(t *testing.T, d *Dir) string {
			f := temp(t, d, "")
			f.Close()
			return filepath.Base(f.Name())
		}, "", ""},
		{"its maker lives", func(t *testing.T, d *Dir) string {
			return filepath.Base(temp(t, d, "").Name())
		}, "a.tmp.", ""},
		{"published meanwhile", func(t *testing.T, d *Dir) string {
			f := temp(t, d, "")
			testkit.Must(t, d.Publish(f, "b", false))
			return filepath.Base(f.Name())
		}, "b", ""},
		{"gone", func(*testing.T, *Dir) string { return name }, "", ""},
		{"a directory", func(t *testing.T, d *Dir) string {
			testkit.Must(t, os.Mkdir(d.Join(name), 0o700))
			return name
		}, name, "not a regular file"},
		{"a link", func(t *testing.T, d *Dir) string {
			testkit.Must(t, os.Symlink("b", d.Join(name)))
			return name
		}, name, "symbolic link"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := opened(t)
			err := d.SweepTemp(tt.make(t, d))
			if tt.error != "" {
				testkit.Contains(t, err, tt.error)
			} else if err != nil {
				t.Errorf("got %v, want no error", err)
			}
			names := testkit.Names(t, d.Path())
			if got := strings.Join(names, " "); (got == "") != (tt.left == "") || !strings.HasPrefix(got, tt.left) {
				t.Errorf("got %q, want %q left", got, tt.left)
			}
		})
	}
}

// A maker gets a file of its own, whoever sweeps.
func TestTempWhileOthersSweep(t *testing.T) {
	d := opened(t)
	stop, ended := make(chan struct{}), make(chan int)
	go func() {
		n := 0
		defer func() { ended <- n }()
		for {
			select {
			case <-stop:
				return
			default:
			}
			names, err := d.Names()
			for _, name := range names {
				n++
				err = errors.Join(err, d.SweepTemp(name))
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	}()
	for range 2000 {
		f, unlocked, err := d.Temp("a")
		if err = errors.Join(unlocked, err); err == nil {
			err = d.Publish(f, "b", false)
			f.Close()
		}
		if err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	t.Logf("%d swept", <-ended)
}
