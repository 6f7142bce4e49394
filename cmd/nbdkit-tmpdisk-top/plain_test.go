// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// written is a document that is fresh when the program looks at the clock.
func written(name string, disks ...status.Disk) status.Document {
	d := document(name, disks...)
	d.Server.Written = time.Now()
	return d
}

func runProgram(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(args, &out, &err)
	return code, out.String(), err.String()
}

func TestArguments(t *testing.T) {
	tests := []struct {
		args   string
		code   int
		stdout string
		stderr string
	}{
		{"--help", 0, "Usage: nbdkit-tmpdisk-top", ""},
		{"--version", 0, "nbdkit-tmpdisk-top unknown", ""},
		{"--nonsense", 2, "", "not defined: -nonsense"},
		{"--sort colour", 2, "", `--sort: "colour" is no column: give one of disk, server`},
		{"--interval 0", 2, "", "--interval: 0: give 0.1 to 3600 seconds"},
		{"--interval NaN", 2, "", "--interval: NaN: give"},
		{"--interval soon", 2, "", "invalid value"},
		{"", 1, "", "standard output is not a terminal: use --once"},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			code, stdout, stderr := runProgram(strings.Fields(test.args)...)
			if code != test.code || !strings.Contains(stdout, test.stdout) || !strings.Contains(stderr, test.stderr) {
				t.Errorf("got %d, %q, %q; want %d, %q, %q", code, stdout, stderr, test.code, test.stdout, test.stderr)
			}
			if (stderr == "") != (test.stderr == "") {
				t.Errorf("got %q on standard error, want %q", stderr, test.stderr)
			}
		})
	}
}

func TestOnce(t *testing.T) {
	dir := t.TempDir()
	last := time.Now()
	write(t, dir, "lab.json", written("lab",
		status.Disk{Number: 7, Export: "swap", Peer: "address 192.0.2.7", DN: "CN=seat  7", State: "connected",
			Size: 1 << 30, Since: last, Last: &last},
		status.Disk{Number: 8, Peer: "user 1000", State: "waiting", Size: 2 << 30}))
	code, stdout, stderr := runProgram("--once", "--sort", "size", dir)
	if code != 0 || stderr != "" {
		t.Errorf("got status %d and %q, want 0 and nothing", code, stderr)
	}
	var table [][]string
	for _, line := range strings.Split(strings.TrimSuffix(stdout, "\n"), "\n") {
		if !strings.HasPrefix(line, "#") {
			table = append(table, regexp.MustCompile("  +").Split(line, -1))
		}
	}
	if len(table) != 3 {
		t.Fatalf("got %d lines, want 3:\n%s", len(table), stdout)
	}
	for i, cells := range table {
		if len(cells) != len(columns) {
			t.Errorf("line %d: got %d columns, want %d: %q", i, len(cells), len(columns), cells)
		}
	}
	for i, want := range []string{"DISK SERVER EXPORT PEER", "8 lab - user 1000", "7 lab swap 192.0.2.7"} {
		if got := strings.Join(table[i][:4], " "); got != want {
			t.Errorf("line %d: got %q, want %q", i, got, want)
		}
	}
}

func TestOnceSaysWhatIsMissing(t *testing.T) {
	dir := t.TempDir()
	good := write(t, dir, "good.json", written("good", status.Disk{Number: 7}))
	dead := written("dead")
	dead.Server.PID = noPID
	stale := write(t, dir, "dead.json", dead)
	tests := []struct {
		name   string
		args   []string
		code   int
		stdout string
		stderr string
	}{
		{"all good", []string{good}, 0, "\n7     good", ""},
		{"a stale one", []string{stale, good}, 0, "\n7     good", "dead.json: stale: process 4194305 is gone"},
		{"a missing one", []string{dir + "/none.json", good}, 1, "\n7     good", "none.json: no such file"},
		{"a broken one", []string{write(t, dir, "broken", "{"), good}, 1, "\n7     good", "unexpected end of JSON"},
		{"a missing directory", []string{dir + "/none"}, 1, "# disks 0", "none: no such file"},
		{"an empty directory", []string{t.TempDir()}, 0, "# no status files", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			code, stdout, stderr := runProgram(append([]string{"--once"}, test.args...)...)
			if code != test.code || !strings.Contains(stdout, test.stdout) || !strings.Contains(stderr, test.stderr) {
				t.Errorf("got %d, %q, %q; want %d, %q, %q", code, stdout, stderr, test.code, test.stdout, test.stderr)
			}
			if test.stderr == "" && stderr != "" {
				t.Errorf("got %q on standard error", stderr)
			}
		})
	}
}

func TestHostileText(t *testing.T) {
	dir := t.TempDir()
	for i, h := range hostile {
		d := written(h.text, status.Disk{Export: h.text, Peer: h.text, DN: h.text, State: h.text, Session: h.text})
		d.Server.Version = h.text
		write(t, dir, string(rune('a'+i))+"\x1b[31m.json", d)
	}
	write(t, dir, "broken\x1b\n.json", "{")
	dead := written("dead")
	dead.Server.PID = noPID
	write(t, dir, "stale\x1b\n.json", dead)
	_, stdout, stderr := runProgram("--once", dir)
	for _, line := range strings.Split(stdout+stderr, "\n") {
		for _, c := range line {
			if c < ' ' || c >= 0x7f && c < 0xa0 || c >= 0x590 {
				t.Fatalf("got %U in %q", c, line)
			}
		}
	}
	if got, want := strings.Count(stdout, "\n"), 2*len(hostile)+4; got != want {
		t.Errorf("got %d lines, want %d", got, want)
	}
}

func TestJSON(t *testing.T) {
	dir := t.TempDir()
	good := write(t, dir, "a.json", `{ "format": 1, "server": {"pid": 4194305, "new": "<&>"}, "disks": [] }`)
	code, stdout, stderr := runProgram("--json", dir, filepath.Join(dir, "none"))
	want := `[{"file":"` + good + `","stale":"process 4194305 is gone",` +
		`"status":{"format":1,"server":{"pid":4194305,"new":"<&>"},"disks":[]}}]` + "\n"
	if code != 1 || stdout != want || strings.Count(stderr, "\n") != 2 {
		t.Errorf("got %d, %s and %q, want 1, %s and two lines", code, stdout, stderr, want)
	}
	_, stdout, _ = runProgram("--json", t.TempDir())
	if !json.Valid([]byte(stdout)) || stdout != "[]\n" {
		t.Errorf("got %q of nothing, want []", stdout)
	}
}

func TestHostileTextInJSON(t *testing.T) {
	dir := t.TempDir()
	text := "größe\u202e\u2066\U000e0041\u0085\x7f"
	write(t, dir, "a.json", `{"format": 1, "server": {"name": "`+text+`"}}`)
	_, stdout, _ := runProgram("--json", dir)
	if want := `"größe\u202e\u2066\udb40\udc41\u0085\u007f"`; !strings.Contains(stdout, want) {
		t.Errorf("got %q, want %s in it", stdout, want)
	}
	var all []struct{ Status status.Document }
	if err := json.Unmarshal([]byte(stdout), &all); err != nil || all[0].Status.Server.Name != text {
		t.Errorf("got %+v, %v, want the name %q", all, err, text)
	}
}

// A full disk, or a pipe that nobody reads.
type failing struct{}

func (failing) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestOutputThatFails(t *testing.T) {
	for _, option := range []string{"--once", "--json"} {
		var stderr bytes.Buffer
		if code := run([]string{option, t.TempDir()}, failing{}, &stderr); code != 1 ||
			!strings.Contains(stderr.String(), "write: no space") {
			t.Errorf("%s: got %d and %q, want 1 and the reason", option, code, stderr.String())
		}
	}
}

func TestDefaults(t *testing.T) {
	o, err := parse(nil, failing{})
	if err != nil || len(o.paths) != 1 || o.paths[0] != "/run/nbdkit-tmpdisk" || o.interval != time.Second || o.view != (view{}) {
		t.Errorf("got %+v, error %v; want the directory below /run, a second, and the disks in order", o, err)
	}
}
