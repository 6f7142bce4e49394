// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
)

// spoilt is what may be wrong with a file of a session.
type spoilt struct {
	name    string
	spoil   func(path string) error // makes it so
	says    string                  // in the error or the log
	damaged bool                    // it is lost, and goes when its grace is over; else it is left alone
	root    bool                    // needs root
}

// rewrite replaces something in both slots.
func rewrite(from, to string) func(string) error {
	return func(path string) error {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(path, []byte(strings.ReplaceAll(string(text), from, to)), 0o600)
	}
}

// asRecord puts another record there.
func asRecord(r record.Record) func(string) error {
	return func(path string) error {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_TRUNC, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		return record.Fill(f, &r)
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

// Whether a server finds it as it starts, or when the client comes.
func TestSpoiltFiles(t *testing.T) {
	records := []spoilt{
		{name: "empty", spoil: content(""), damaged: true, says: "damaged"},
		{name: "cut short", spoil: size(40), damaged: true, says: "damaged"},
		{name: "garbage", spoil: content("\x00\xff{"), damaged: true, says: "damaged"},
		{name: "too long", spoil: size(1 << 20), damaged: true, says: "too long"},
		{name: "of another key", spoil: asRecord(record.Record{Key: keyB, Generation: 1}), damaged: true, says: "another session's"},
		{name: "of generation 0", spoil: asRecord(record.Record{Key: keyA}), damaged: true, says: "generation 0"},
		{name: "of a newer format", spoil: rewrite(`"format":2`, `"format":3,"new":1`), says: "newer version"},
		{name: "a symlink", spoil: symlink, says: "is a symbolic link"},
		{name: "for all to read", spoil: mode, says: "has mode 0644"},
		{name: "of another owner", spoil: owner, says: "is owned by user 12345", root: true},
	}
	disks := []spoilt{
		{name: "shorter", spoil: size(kit.Size - 1), damaged: true, says: "has 1048575 bytes, not 1048576"},
		{name: "longer", spoil: size(kit.Size + 1), damaged: true, says: "has 1048577 bytes, not 1048576"},
		{name: "a symlink", spoil: symlink, says: "is a symbolic link"},
		{name: "for all to read", spoil: mode, says: "has mode 0644"},
		{name: "of another owner", spoil: owner, says: "is owned by user 12345", root: true},
	}
	for file, list := range map[string][]spoilt{kit.RecordOf(keyA): records, kit.DiskOf(keyA): disks} {
		for _, tt := range list {
			for when, start := range map[string]bool{"at start": true, "for a client": false} {
				t.Run(file[65:]+" "+tt.name+", "+when, func(t *testing.T) {
					if tt.root && os.Geteuid() != 0 {
						t.Skip("needs root")
					}
					tt.test(t, file, start)
				})
			}
		}
	}
}

func (b spoilt) test(t *testing.T, file string, start bool) {
	o, now := options(t)
	var log strings.Builder
	o.LogError = func(msg string) { log.WriteString(msg + "\n") }
	s := started(t, o)
	used(t, s, keyA, keyB)
	path := kit.Path(o.Path, file)
	if err := b.spoil(path); err != nil {
		t.Fatal(err)
	}
	if start {
		s.Stop()
		s = started(t, o)
	}
	wantResumed(t, s, keyB)
	for when, at := range []time.Duration{0, minute.Grace / 2, minute.Grace/2 - 1} {
		now.Pass(at)
		err := refused(t, s, keyA)
		said := log.String() + err.Error()
		for _, want := range []string{b.says, path} {
			if !strings.Contains(said, want) {
				t.Errorf("got %q, want %q in it", said, want)
			}
		}
		var lost *keep.LostError
		if got := errors.As(err, &lost); got != b.damaged || got && (lost.Reason != keep.Damaged || !lost.Kept) {
			t.Errorf("time %d: got %v, want it damaged and kept: %v", when, err, b.damaged)
		}
		if !kit.Exists(o.Path, kit.DiskOf(keyA)) {
			t.Error("the disk is gone before its grace is over")
		}
	}
	usedAs(t, s, keyB, "export", seconds(7200)) // it is only in the way
	now.Pass(1)
	if got := kit.Exists(o.Path, kit.DiskOf(keyA)); got == b.damaged {
		t.Errorf("after its grace: got the disk there %v, want %v", got, !b.damaged)
	}
	if b.damaged {
		wantLost(t, s, keep.Expired, keyA)
		usedAs(t, s, keyA, "export", freshMinute)
		wantResumed(t, s, keyA)
		return
	}
	// What was left alone is not overwritten either, nor forgotten.
	now.Pass(forgetAfter + time.Hour)
	if !kit.Exists(o.Path, kit.DiskOf(keyA)) || !kit.Exists(o.Path, kit.RecordOf(keyA)) {
		t.Error("got files removed that are left alone")
	}
	testkit.Contains(t, refused(t, s, keyA), b.says)
}

// However often servers start, a damaged disk waits for its grace, and no longer.
func TestGraceOfDamagedAndRestarts(t *testing.T) {
	note := record.Record{Key: keyA, Lost: keep.Damaged, Used: time.Now(), Uptime: time.Second, Boot: "this-boot"}
	for _, tt := range []struct {
		name, file string
		spoil      func(string) error
	}{
		{"no record", kit.RecordOf(keyA), os.Remove},
		{"a damaged record", kit.RecordOf(keyA), content("")},
		{"a note of long ago", kit.RecordOf(keyA), asRecord(note)},
		{"a shorter disk", kit.DiskOf(keyA), size(kit.Size - 1)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, now := options(t)
			o.Sync = true // so that another boot does not matter
			s := started(t, o)
			used(t, s, keyA)
			restart := func(by time.Duration) {
				dies(s)
				now.Pass(by)
				s = started(t, o)
			}
			there := func(want bool, when string) {
				t.Helper()
				if got := kit.Exists(o.Path, kit.DiskOf(keyA)); got != want {
					t.Errorf("%s: got the disk there %v, want %v", when, got, want)
				}
			}
			now.Pass(minute.Grace / 2)
			path := kit.Path(o.Path, tt.file)
			was, err := os.ReadFile(path)
			testkit.Must(t, err)
			testkit.Must(t, tt.spoil(path))
			for range 10 {
				restart(minute.Grace / 10)
				there(true, "within its grace")
			}
			// Mended, and spoilt again: that is another grace.
			testkit.Must(t, os.WriteFile(path, was, 0o600))
			wantResumed(t, s, keyA)
			testkit.Must(t, tt.spoil(path))
			for range 10 {
				restart(minute.Grace / 10)
				there(true, "within its second grace")
			}
			o.Boot = "another-boot" // no clock tells of the time before
			for range 10 {
				restart(minute.Grace / 10)
				there(true, "within its grace after a boot")
			}
			for range 20 {
				restart(minute.Grace / 10)
			}
			there(false, "after 50 restarts")
			wantLost(t, s, keep.Expired, keyA)
			wantDisks(t, s, nil, keyA)
		})
	}
}

// session-lost=fresh puts a fresh disk in place of a damaged one at once.
func TestFreshInPlaceOfDamaged(t *testing.T) {
	for name, file := range map[string]string{"record": kit.RecordOf(keyA), "disk": kit.DiskOf(keyA)} {
		t.Run(name, func(t *testing.T) {
			s, now := server(t)
			used(t, s, keyA)
			if err := os.Truncate(kit.Path(s.opts.Path, file), 100); err != nil {
				t.Fatal(err)
			}
			c := openAs(t, s, keyA, "export", freshMinute, blank(s))
			wantBlock(t, c, 0, 0, 0)
			now.Pass(time.Hour)
			put(t, c, 1, 1, 0)
			s.Close(c)
			wantResumed(t, s, keyA)
			wantDisks(t, s, keys{keyA})
		})
	}
}

// A maker that died leaves what nobody was told of.
func TestLeftByAMaker(t *testing.T) {
	for name, start := range map[string]bool{"at start": true, "for a client": false} {
		t.Run(name, func(t *testing.T) {
			s, _ := server(t)
			used(t, s, keyA)
			path := func(name string) string { return kit.Path(s.opts.Path, name) }
			temp := path(string(keyB) + ".tmp.0123456789abcdef0123")
			err := errors.Join(content("left")(temp), os.Link(temp, path(kit.DiskOf(keyB))), content("left")(path("README")))
			if err != nil {
				t.Fatal(err)
			}
			if start {
				s.Stop()
				s = started(t, s.opts)
				kit.WantFiles(t, s.opts.Path, kit.DiskOf(keyA), kit.RecordOf(keyA), "README")
			}
			used(t, s, keyB)
			kit.WantFiles(t, s.opts.Path, kit.DiskOf(keyA), kit.RecordOf(keyA), kit.DiskOf(keyB), kit.RecordOf(keyB), "README")
		})
	}
}
