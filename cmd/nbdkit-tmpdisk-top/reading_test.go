// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

func TestReadOne(t *testing.T) {
	newer := document("lab")
	newer.Format = 2
	tests := []struct {
		name string
		text any
		err  string
	}{
		{"good", document("lab"), ""},
		{"unknown fields", `{"format":1,"more":{"a":[1]},"server":{"name":"lab","colour":"red"}}`, ""},
		{"another format", newer, "format 2: this program reads only format 1"},
		{"another format with other types", `{"format":2,"server":"lab"}`, "format 2"},
		{"no format", `{"server":{"name":"lab"}}`, "format 0"},
		{"cut short", `{"format":1,"server":{`, "unexpected end of JSON"},
		{"empty", "", "unexpected end of JSON"},
		{"another type", `{"format":1,"disks":{}}`, "cannot unmarshal object"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := write(t, t.TempDir(), "a.json", test.text)
			r := read(path, now)
			if test.err == "" {
				if r.err != nil || r.document.Server.Name != "lab" {
					t.Errorf("got name %q, error %v; want lab, no error", r.document.Server.Name, r.err)
				}
				return
			}
			if r.err == nil || !strings.Contains(r.err.Error(), test.err) || !strings.Contains(r.err.Error(), path) {
				t.Errorf("got error %v, want %q about %s", r.err, test.err, path)
			}
		})
	}
}

func TestReadAll(t *testing.T) {
	dir := t.TempDir()
	good := write(t, dir, "b.json", document("b"))
	write(t, dir, "a.json", document("a"))
	write(t, dir, ".hidden.json", document("hidden"))
	write(t, dir, "a.json.tmp", document("tmp"))
	if err := os.Symlink("ended", filepath.Join(dir, "ended.json")); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range readAll([]string{good, dir, filepath.Join(dir, "missing.json"), dir}, now) {
		what := r.name()
		if r.err != nil {
			what = "error"
		}
		got = append(got, filepath.Base(r.path)+" "+what)
	}
	want := "b.json b, a.json a, missing.json error"
	if got := strings.Join(got, ", "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestReadWhatIsNoFile(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(filepath.Join(dir, "fifo.json"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/zero", filepath.Join(dir, "zero.json")); err != nil {
		t.Fatal(err)
	}
	large := write(t, dir, "large.json", "")
	if err := os.Truncate(large, maxFile+1); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"fifo.json": "not a regular file", "zero.json": "not a regular file", "large.json": "larger than",
	} {
		r := read(filepath.Join(dir, name), now)
		if r.err == nil || !strings.Contains(r.err.Error(), want) {
			t.Errorf("%s: got error %v, want %q", name, r.err, want)
		}
	}
}

func TestNameOfServer(t *testing.T) {
	r := &reading{path: "/run/lab.json"}
	if got := r.name(); got != "lab" {
		t.Errorf("got %q, want lab", got)
	}
}

func TestStaleness(t *testing.T) {
	tests := []struct {
		name string
		pid  int
		age  time.Duration
		want string
	}{
		{"fresh", os.Getpid(), time.Second, ""},
		{"as old as may be", os.Getpid(), maxAge, ""},
		{"too old", os.Getpid(), maxAge + time.Second, "not written for 46s"},
		{"a clock that was set back", os.Getpid(), -time.Hour, ""},
		{"of another user", 1, 0, ""},
		{"gone", noPID, 0, "process 4194305 is gone"},
		{"no process", 0, 0, "process 0 is gone"},
		{"all processes", -1, 0, "process -1 is gone"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := staleness(status.Server{PID: test.pid, Written: now.Add(-test.age)}, now); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
