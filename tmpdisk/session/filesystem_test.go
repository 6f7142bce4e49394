// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"os"
	"slices"
	"strings"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/fsprobe"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

func TestFilesystem(t *testing.T) {
	if _, ok := started(t, testOptions(t, nil)).Filesystem(); ok {
		t.Error("got a filesystem of sessions in memory")
	}
	parent := t.TempDir()
	var lines []string
	o := dirOptions(t, nil, parent)
	o.Debug = func(msg string) { lines = append(lines, msg) }
	s := New(o)
	if _, ok := s.Filesystem(); ok {
		t.Error("got a filesystem before the start")
	}
	for range 2 {
		if err := s.Start(); err != nil {
			t.Fatal(err)
		}
	}
	r, ok := s.Filesystem()
	if !ok || !r.Can(fsprobe.Locks) || len(r.Answers) != 6 {
		t.Errorf("got %v, %t, want six answers", r.Answers, ok)
	}
	if want := r.Lines("session-dir", parent); !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q, once", lines, want)
	}
	wantFiles(t, parent)
}

func TestLocksOfThisMachineOnly(t *testing.T) {
	for option, want := range map[string]string{"": "", "local_lock=all": "/x: mounted with the option local_lock=all: "} {
		got := ""
		d := &dir{opts: Options{Dir: "/x", Debug: testkit.Quiet, LogError: func(msg string) { got = msg }}}
		d.found(fsprobe.Result{LocalLocks: option})
		if !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("%q: got %q, want %q in it", option, got, want)
		}
	}
}

// What a network filesystem calls a removed file that is open is not removed as long
// as somebody has it.
func TestSweepOfWhatStandsForRemoved(t *testing.T) {
	parent := t.TempDir()
	started(t, dirOptions(t, nil, parent)).Stop()
	cases := []struct {
		name   string
		locked bool
		want   bool // that it stays
	}{
		{".nfs000000000001", true, true},
		{".nfs000000000002", false, false},
		{".fuse_hidden0001", true, true},
		{".fuse_hidden0002", false, false},
		{".smb0001", false, false},
		{"nfs0001", false, true},
		{".hidden", false, true},
	}
	want := []string{}
	for _, c := range cases {
		f, err := os.OpenFile(inParent(parent, c.name), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if c.locked {
			if err := sys.Flock(int(f.Fd())); err != nil {
				t.Fatal(err)
			}
		}
		if c.want {
			want = append(want, c.name)
		}
	}
	slices.Sort(want)
	o := dirOptions(t, nil, parent)
	o.LogError = func(msg string) { t.Error(msg) }
	started(t, o)
	wantFiles(t, parent, want...)
}

// A disk that a client has is locked under whatever name.
func TestSweepSparesARemovedDiskInUse(t *testing.T) {
	parent := t.TempDir()
	s := started(t, dirOptions(t, nil, parent))
	c := open(t, s, keyA, blank(t, parent, testSize))
	const renamed = ".nfs0001"
	if err := os.Rename(inParent(parent, diskOf(keyA)), inParent(parent, renamed)); err != nil {
		t.Fatal(err)
	}
	started(t, dirOptions(t, nil, parent))
	if _, err := os.Stat(inParent(parent, renamed)); err != nil {
		t.Errorf("got %v, want the disk", err)
	}
	s.Close(c)
	started(t, dirOptions(t, nil, parent))
	if _, err := os.Stat(inParent(parent, renamed)); err == nil {
		t.Error("got the disk that nobody has any more, want it swept")
	}
}
