// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package files

import (
	"os"
	"slices"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/fsprobe"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
)

// The directory's filesystem is tried once: at the start, or when it is made.
func TestFilesystem(t *testing.T) {
	for name, atStart := range map[string]bool{"at the start": true, "for the first session": false} {
		t.Run(name, func(t *testing.T) {
			var lines []string
			o := options(t)
			o.AtStart = atStart
			o.Debug = func(msg string) { lines = append(lines, msg) }
			d := begun(t, o)
			if r, ok := d.Filesystem(); ok != atStart {
				t.Errorf("got %v, %v after the start, want %v", r, ok, atStart)
			}
			_, err := os.Stat(kit.Path(o.Path, ""))
			if made := err == nil; made != atStart {
				t.Errorf("got the directory made %v, want %v", made, atStart)
			}
			for range 2 {
				if err := created(t, d, o, kit.A).Discard(); err != nil {
					t.Fatal(err)
				}
			}
			r, ok := d.Filesystem()
			if !ok || r.Why(fsprobe.Locks) != nil || len(r.Answers) != 6 {
				t.Errorf("got %v, %t, want six answers", r.Answers, ok)
			}
			if want := r.Lines("session-dir", o.Path); !slices.Equal(lines, want) {
				t.Errorf("got %q, want %q, once", lines, want)
			}
			kit.WantFiles(t, o.Path)
			d.Close()
			if names := testkit.Names(t, o.Path); len(names) > 0 {
				t.Errorf("got %q left, want nothing", names)
			}
		})
	}
}

// What a network filesystem calls a removed file that is open is not removed as long
// as somebody has it.
func TestSweepOfWhatStandsForRemoved(t *testing.T) {
	o := options(t)
	o.AtStart = true
	o.LogError = func(msg string) { t.Error(msg) }
	begun(t, o)
	want := []string{}
	for name, is := range map[string]struct{ locked, stays bool }{
		".nfs000000000001": {true, true},
		".nfs000000000002": {false, false},
		".fuse_hidden0001": {true, true},
		".fuse_hidden0002": {false, false},
		".smb0001":         {false, false},
		"nfs0001":          {false, true},
		".hidden":          {false, true},
	} {
		path := kit.Path(o.Path, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if is.locked {
			unlock, _ := kit.Lock(t, path)
			defer unlock()
		}
		if is.stays {
			want = append(want, name)
		}
	}
	begun(t, o)
	kit.WantFiles(t, o.Path, want...)
}

// A disk that a client has is locked under whatever name.
func TestSweepSparesARemovedDiskInUse(t *testing.T) {
	o := options(t)
	c := created(t, begun(t, o), o, kit.A)
	const renamed = ".nfs0001"
	if err := os.Rename(kit.Path(o.Path, kit.DiskOf(kit.A)), kit.Path(o.Path, renamed)); err != nil {
		t.Fatal(err)
	}
	begun(t, o)
	if !kit.Exists(o.Path, renamed) {
		t.Error("got the disk removed that a client has")
	}
	c.Close()
	begun(t, o)
	if kit.Exists(o.Path, renamed) {
		t.Error("got the disk that nobody has any more, want it swept")
	}
}
