// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/export"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// commandLine is a configuration with export-dir that must be right.
func commandLine(t *testing.T, pairs ...string) *Config {
	t.Helper()
	c := New(testkit.Host{TB: t})
	for i := 0; i < len(pairs); i += 2 {
		testkit.Must(t, c.Set(pairs[i], pairs[i+1]))
	}
	testkit.Must(t, c.Set("export-dir", t.TempDir()))
	testkit.Must(t, c.Complete())
	return c
}

func settings(lines ...string) (s []export.Setting) {
	for i, line := range lines {
		key, value, _ := strings.Cut(line, "=")
		s = append(s, export.Setting{Key: key, Value: value, Line: i + 1})
	}
	return s
}

func TestExportReplacesTheCommandLine(t *testing.T) {
	c := commandLine(t, "size", "1M", "type", "xfs", "label", "ours", "command", "true", "os", "debian",
		"spare-disks", "2", "export-description", "ours", "session-grace", "1h", "make-jobs", "3")
	e, err := c.Export(settings("type=swap", "label=theirs", "command=false", "os=fedora", "more=1", "spare-disks=0", "session-grace=0"))
	testkit.Must(t, err)
	if e.Size != 1<<20 || e.Type != "swap" || e.Label != "theirs" || e.Command != "false" || e.SpareDisks != 0 ||
		e.Session.Grace != 0 || e.MakeJobs != 3 || e.Description != "" || e.ExportDir != "" || !e.HasDisk() {
		t.Errorf("got %+v", e)
	}
	want := []Variable{{"type", "swap"}, {"label", "theirs"}, {"os", "fedora"}, {"more", "1"}}
	if len(e.Variables) != len(want) {
		t.Fatalf("got variables %v, want %v", e.Variables, want)
	}
	for i, v := range want {
		if e.Variables[i] != v {
			t.Errorf("variable %d: got %v, want %v", i, e.Variables[i], v)
		}
	}
	if c.Type != "xfs" || c.Command != "true" || len(c.Variables) != 3 || c.Variables[0].Value != "xfs" {
		t.Errorf("the command line's has changed: %+v", c)
	}
}

func TestExportAccepts(t *testing.T) {
	cases := []struct {
		name  string
		line  []string // of the command, key, value...
		lines []string // of the file
	}{
		{"nothing of its own", []string{"size", "1M"}, nil},
		{"all of its own", nil, []string{"size=1M", "type=xfs"}},
		{"no command", []string{"command", "exit 1"}, []string{"size=1M", "command="}},
		{"no templates", []string{"template-dir", "/tmp"}, []string{"size=1M", "template-dir="}},
		{"sessions of its own", []string{"session-max", "5"}, []string{"size=1M", "session-grace=1h", "session-lost=fresh"}},
		{"no sessions", []string{"session-grace", "1h", "session-lost", "fresh"}, []string{"size=1M", "session-grace=0"}},
		{"a variable of the command line's", []string{"os", "debian"}, []string{"size=1M"}},
		{"the last line counts", nil, []string{"size=0", "size=1M"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if _, err := commandLine(t, c.line...).Export(settings(c.lines...)); err != nil {
				t.Errorf("got error %q, want none", err)
			}
		})
	}
}

// Options are one program's: who takes another does not get them.
func TestMkfsOptionsOfAnExport(t *testing.T) {
	for _, c := range []struct {
		name  string
		lines []string
		want  string // the options, by blanks
	}{
		{"inherited", []string{"label=x"}, "-m 0"},
		{"its own", []string{"mkfs-options=-m 1"}, "-m 1"},
		{"none", []string{"mkfs-options="}, ""},
		{"another type", []string{"type=xfs"}, ""},
		{"another type with its own", []string{"mkfs-options=-K", "type=xfs"}, "-K"},
		{"a command", []string{"command=:"}, ""},
		{"no command", []string{"command="}, "-m 0"},
		{"a base", []string{"base=/i"}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := commandLine(t, "size", "1M", "mkfs-options", "-m 0").Export(settings(c.lines...))
			testkit.Must(t, err)
			if got := strings.Join(e.MkfsOptions, " "); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	e, err := commandLine(t, "size", "1M", "base", "/i").Export(settings("mkfs-options=-m 0"))
	testkit.Must(t, err)
	if e.Base != "" || !e.Builtin() {
		t.Errorf("got base %q, want none", e.Base)
	}
}

func TestExportRefuses(t *testing.T) {
	cases := []struct {
		name  string
		line  []string
		lines []string
		wants []string
	}{
		{"a bad value", nil, []string{"size=1M", "type=../x"}, []string{"line 2: parameter type: "}},
		{"no size anywhere", nil, []string{"type=xfs"}, []string{"parameter size: missing"}},
		{"a slip", nil, []string{"size=1M", "", "szie=1M"}, []string{"line 2: "}},
		{"a check of the whole", []string{"label", "x"}, []string{"size=1M", "type=minix"}, []string{"parameter label: minix has no labels"}},
		{"a check of the whole, at its line", nil, []string{"label=x", "size=1M", "type=minix"}, []string{"line 1: parameter label: minix has no labels"}},
		{"what needs a grace", nil, []string{"size=1M", "session-key=name"}, []string{"line 2: parameter session-key: only works with session-grace="}},
		{"options of mkfs beside the command of all", []string{"command", ":"}, []string{"size=1M", "mkfs-options=-m 0"},
			[]string{"line 2: parameter mkfs-options: not mkfs but the command"}},
		{"sessions of a grace of 0", nil, []string{"size=1M", "session-grace=0", "session-lost=fresh"},
			[]string{"line 2: parameter session-grace: 0: there are no sessions, but session-lost is given"}},
		{"the server's", nil, []string{"size=1M", "make-jobs=2"}, []string{"line 2: parameter make-jobs: ", "on the command line"}},
		{"exports of exports", nil, []string{"size=1M", "export-dir=/"}, []string{"line 2: parameter export-dir: ", "on the command line"}},
		{"no UTF-8", nil, []string{"size=1M", "export-description=\xff"}, []string{"line 2: parameter export-description: ", "UTF-8"}},
		{"a long description", nil, []string{"export-description=" + strings.Repeat("x", 4097)}, []string{"line 1: ", "4097 bytes", "4096"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := commandLine(t, c.line...).Export(settings(c.lines...))
			testkit.Contains(t, err, c.wants...)
		})
	}
}

// Whatever an export has, it never changes what is the server's as a whole.
func TestExportLeavesTheServerAlone(t *testing.T) {
	for _, p := range parameters {
		if !p.server {
			continue
		}
		_, err := commandLine(t).Export(settings("size=1M", p.name+"=1"))
		testkit.Contains(t, err, "line 2: parameter "+p.name+": is the server's as a whole")
	}
}

// Complete comes once more after the server has forked, when the files are the
// server's to read.
func TestOnlyCheckFilesReadsFiles(t *testing.T) {
	dir := t.TempDir()
	testkit.Must(t, os.Chmod(dir, 0o755))
	c := New(testkit.Host{TB: t})
	testkit.Must(t, c.Set("export-dir", dir))
	testkit.Must(t, os.WriteFile(filepath.Join(dir, "a.conf"), []byte("size=1M\nlabel"), 0o644))
	if err := c.Complete(); err != nil {
		t.Errorf("Complete: got %v, want no error", err)
	}
	_, err := c.CheckFiles()
	testkit.Contains(t, err, "parameter export-dir: "+dir+"/a.conf: line 2: ")
}
