// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package export

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestCheck(t *testing.T) {
	dir := newDir(t, "win.conf", "# x\nsize=1G\n", "swap.conf", "size=2G\ntype=swap\n", "none.conf", "#\n")
	names, settings := []string{}, [][]Setting{}
	err := Check(dir, func(name string, s []Setting) error {
		names, settings = append(names, name), append(settings, s)
		return nil
	})
	wantNames := []string{"none", "swap", "win"}
	want := [][]Setting{nil, {{"size", "2G", 1}, {"type", "swap", 2}}, {{"size", "1G", 2}}}
	if err != nil || !reflect.DeepEqual(names, wantNames) || !reflect.DeepEqual(settings, want) {
		t.Errorf("got %q, %q, %v, want %q, %q", names, settings, err, wantNames, want)
	}
}

func TestCheckErrors(t *testing.T) {
	cause := errors.New("parameter size: missing")
	tests := []struct {
		name, file, text string
		load             error
		want             []string
	}{
		{"the file's", "b.conf", "size=1G\nx\n", nil, []string{"/b.conf: line 2: ", `"x"`}},
		{"the setting's", "b.conf", "size=1G\n", AtLine(1, cause), []string{"/b.conf: line 1: parameter size: missing"}},
		{"empty", "b.conf", "", nil, []string{"/b.conf: line 1: ", "half-written"}},
		{"too long", "b.conf", "#" + strings.Repeat("x", maxFile-1) + "\n", nil, []string{"/b.conf: 1048577 bytes", "1048576"}},
		{"a name with a blank", "a b.conf", "#\n", nil, []string{`"a b.conf": `, "rename"}},
		{"a name that breaks lines", "a\nb\x1b[2J\xff.conf", "#\n", nil, []string{`: "a\nb\x1b[2J\xff.conf": `, "rename"}},
		{"a long name", strings.Repeat("a", 65) + ".conf", "#\n", nil, []string{"aaa.conf", "1 to 64"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := newDir(t, "c.conf", "size=1G\n", tt.file, tt.text)
			err := Check(dir, func(string, []Setting) error { return tt.load })
			testkit.Contains(t, err, append(tt.want, dir)...)
			if strings.ContainsAny(err.Error(), "\n\x1b\xff") {
				t.Errorf("got %q, want one line that is harmless on a terminal", err)
			}
			if tt.load != nil && !errors.Is(err, cause) {
				t.Errorf("got %v, want %v wrapped", err, cause)
			}
		})
	}
}

// The longest file there can be is read.
func TestCheckLongest(t *testing.T) {
	dir := newDir(t, "a.conf", "#"+strings.Repeat("x", maxFile-2)+"\n")
	if err := Check(dir, func(string, []Setting) error { return nil }); err != nil {
		t.Error(err)
	}
}

func TestCheckNothing(t *testing.T) {
	load := func(name string, _ []Setting) error { return errors.New("loaded " + name) }
	tests := []struct {
		name  string
		files []string
	}{
		{"an empty directory", nil},
		{"not .conf", []string{"README", "x", "a.conf.rpmnew", "x", "a.conf.dpkg-old", "x", "conf", "x", "a.CONF", "x"}},
		{"editors' files", []string{".a.conf.swp", "x", ".conf", "x", ".a.conf", "x", "a.conf~", "x", "#a.conf#", "x", "4913", "x", "a.conf.bak", "x"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := newDir(t, tt.files...)
			// Emacs locks a file so.
			must(t, os.Symlink("user@host.1:2", filepath.Join(dir, ".#a.conf")))
			if err := Check(dir, load); err != nil {
				t.Errorf("got %v, want no error", err)
			}
			d, j := watch(t, dir)
			d.Start()
			want(t, "errors", &j.errors)
			want(t, "loads", &j.loads)
		})
	}
}
