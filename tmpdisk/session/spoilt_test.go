// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// spoilt is what may be wrong with a file of a session.
type spoilt struct {
	name   string
	record bool                    // the record, else the disk
	spoil  func(path string) error // makes it so
	lost   bool                    // and it is removed; else it is left alone
	says   string                  // in the error, or in the log if it is lost
	root   bool                    // needs root
}

func rewrite(from, to string) func(string) error {
	return func(path string) error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, []byte(strings.Replace(string(text), from, to, 1)), 0o600)
	}
}

func content(text string) func(string) error {
	return func(path string) error { return os.WriteFile(path, []byte(text), 0o600) }
}

func size(n int64) func(string) error {
	return func(path string) error { return os.Truncate(path, n) }
}

func mode(path string) error { return os.Chmod(path, 0o644) }

func owner(path string) error { return os.Chown(path, 12345, 0) }

func symlink(path string) error {
	return errors.Join(os.Rename(path, path+"-elsewhere"), os.Symlink(path+"-elsewhere", path))
}

var spoilts = []spoilt{
	{name: "record empty", record: true, spoil: content(""), lost: true, says: "damaged"},
	{name: "record cut short", record: true, spoil: size(40), lost: true, says: "damaged"},
	{name: "record garbage", record: true, spoil: content("\x00\xff{"), lost: true, says: "damaged"},
	{name: "record too long", record: true, spoil: size(maxRecord + 1), lost: true, says: "too long"},
	{name: "record of another key", record: true, spoil: rewrite(string(keyA), string(keyB)), lost: true, says: "another session's"},
	{name: "record of generation 0", record: true, spoil: rewrite(`"generation":1`, `"generation":0`), lost: true, says: "generation 0"},
	{name: "record of a newer format", record: true, spoil: rewrite(`"format":1`, `"format":2,"new":1`), says: "newer version"},
	{name: "record a symlink", record: true, spoil: symlink, says: "is a symbolic link"},
	{name: "record for all to read", record: true, spoil: mode, says: "has mode 0644"},
	{name: "record of another owner", record: true, spoil: owner, says: "is owned by user 12345", root: true},
	{name: "disk shorter", spoil: size(testSize - 1), lost: true, says: "has 1048575 bytes, not 1048576"},
	{name: "disk longer", spoil: size(testSize + 1), lost: true, says: "has 1048577 bytes, not 1048576"},
	{name: "disk missing", spoil: os.Remove, lost: true, says: "damaged"},
	{name: "disk a symlink", spoil: symlink, says: "is a symbolic link"},
	{name: "disk for all to read", spoil: mode, says: "has mode 0644"},
	{name: "disk of another owner", spoil: owner, says: "is owned by user 12345", root: true},
}

func (b spoilt) path(parent string) string {
	if b.record {
		return inParent(parent, recordOf(keyA))
	}
	return inParent(parent, diskOf(keyA))
}

// Whether a server finds it as it starts, or when the client comes.
func TestSpoiltFiles(t *testing.T) {
	for _, tt := range spoilts {
		for when, start := range map[string]bool{"at start": true, "for a client": false} {
			t.Run(tt.name+", "+when, func(t *testing.T) {
				if tt.root && os.Geteuid() != 0 {
					t.Skip("needs root")
				}
				tt.test(t, start)
			})
		}
	}
}

func (b spoilt) test(t *testing.T, start bool) {
	parent := t.TempDir()
	var log strings.Builder
	o := dirOptions(t, nil, parent)
	o.LogError = func(msg string) { log.WriteString(msg + "\n") }
	s := started(t, o)
	used(t, s, keyA, must(blank(t, parent, testSize)), 1)
	used(t, s, keyB, must(blank(t, parent, testSize)), 2)
	if err := b.spoil(b.path(parent)); err != nil {
		t.Fatal(err)
	}
	if start {
		s.Stop()
		s = started(t, o)
	}
	_, err := s.Open(context.Background(), keyA, "", minute, none)
	said := log.String() + err.Error()
	for _, want := range []string{b.says, b.path(parent)} {
		if !strings.Contains(said, want) {
			t.Errorf("got %q, want %q in it", said, want)
		}
	}
	if got := errors.As(err, new(*LostError)); got != b.lost {
		t.Errorf("got %v, want it lost: %v", err, b.lost)
	}
	if _, err := os.Lstat(inParent(parent, diskOf(keyA))); (err == nil) == b.lost {
		t.Errorf("the disk: got %v, want it there: %v", err, !b.lost)
	}
	if b.lost {
		wantLost(t, s, keyA, Damaged)
	}
	c := open(t, s, keyB, none)
	wantBlock(t, c, 2, 1, 0)
	s.Close(c)
}

// What was left alone is not overwritten either, once it would have expired.
func TestNewerIsLeftAlone(t *testing.T) {
	parent, now := t.TempDir(), newClock()
	s := started(t, dirOptions(t, now, parent))
	used(t, s, keyA, must(blank(t, parent, testSize)), 1)
	if err := rewrite(`"format":1`, `"format":2`)(inParent(parent, recordOf(keyA))); err != nil {
		t.Fatal(err)
	}
	now.pass(minute.Grace)
	now.pass(s.opts.Forget)
	now.pass(time.Hour)
	wantFiles(t, parent, diskOf(keyA), recordOf(keyA))
	_, err := s.Open(context.Background(), keyA, "", minute, none)
	testkit.Contains(t, err, inParent(parent, recordOf(keyA)), "newer version")
}

// A maker that died leaves what nobody was told of.
func TestLeftByAMaker(t *testing.T) {
	parent := t.TempDir()
	s := started(t, dirOptions(t, nil, parent))
	used(t, s, keyA, must(blank(t, parent, testSize)), 1)
	temp := string(keyB) + ".tmp.0123456789abcdef0123"
	for _, name := range []string{diskOf(keyB), temp, "README"} {
		if err := content("left")(inParent(parent, name)); err != nil {
			t.Fatal(err)
		}
	}
	s.Stop()
	s = started(t, dirOptions(t, nil, parent))
	wantFiles(t, parent, diskOf(keyA), recordOf(keyA), "README")
	used(t, s, keyB, must(blank(t, parent, testSize)), 2)
}
