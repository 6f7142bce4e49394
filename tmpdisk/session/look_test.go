// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// Whatever is in the directory is looked after in the end, however it got there, or could
// not be looked at before.
func TestNothingIsLeft(t *testing.T) {
	chmod := func(t *testing.T, o Options, mode os.FileMode) {
		if err := os.Chmod(kit.Path(o.Path, kit.DiskOf(keyA)), mode); err != nil {
			t.Fatal(err)
		}
	}
	move := func(t *testing.T, from, to string) {
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	moveBack := func(t *testing.T, from, to string) {
		if err := os.RemoveAll(to); err != nil { // which a server may have made anew
			t.Fatal(err)
		}
		move(t, from, to)
	}
	for name, leave := range map[string]func(t *testing.T, o Options, now *testkit.Clock) *Sessions{
		"not to be opened at the start": func(t *testing.T, o Options, now *testkit.Clock) *Sessions {
			s := started(t, o)
			used(t, s, keyA)
			dies(s)
			chmod(t, o, 0o644)
			s = started(t, o)
			chmod(t, o, 0o600)
			return s
		},
		"not to be opened for an hour": func(t *testing.T, o Options, now *testkit.Clock) *Sessions {
			s := started(t, o)
			used(t, s, keyA)
			dies(s)
			chmod(t, o, 0o644)
			s = started(t, o)
			now.Pass(time.Hour)
			chmod(t, o, 0o600)
			return s
		},
		"away when its grace was over": func(t *testing.T, o Options, now *testkit.Clock) *Sessions {
			s := started(t, o)
			used(t, s, keyA)
			path := kit.Path(o.Path, kit.DiskOf(keyA))
			move(t, path, o.Path+"/away")
			now.Pass(minute.Grace)
			move(t, o.Path+"/away", path)
			return s
		},
		"the directory away when its grace was over": func(t *testing.T, o Options, now *testkit.Clock) *Sessions {
			s := started(t, o)
			used(t, s, keyA)
			path := kit.Path(o.Path, "")
			move(t, path, o.Path+"/away")
			now.Pass(minute.Grace)
			moveBack(t, o.Path+"/away", path)
			return s
		},
		"in a directory that appears": func(t *testing.T, o Options, now *testkit.Clock) *Sessions {
			s := started(t, o)
			used(t, s, keyA)
			dies(s)
			path := kit.Path(o.Path, "")
			move(t, path, o.Path+"/away")
			s = started(t, o)
			moveBack(t, o.Path+"/away", path)
			return s
		},
		"another server's, which died": func(t *testing.T, o Options, now *testkit.Clock) *Sessions {
			s := started(t, o)
			other := started(t, o)
			written(t, other, keyA)
			dies(other)
			return s
		},
		"not to be discarded": func(t *testing.T, o Options, now *testkit.Clock) *Sessions {
			s := started(t, o)
			c := begin(t, s, keyA)
			path := kit.Path(o.Path, kit.RecordOf(keyA))
			move(t, path, o.Path+"/away")
			s.Close(c)
			move(t, o.Path+"/away", path)
			return s
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, now := options(t)
			o.AtStart = true
			s := leave(t, o, now)
			now.Pass(lookPause.Last)
			now.Pass(minute.Grace)
			wantWaiting(t, s, "after its grace")
			wantDisks(t, s, nil, keyA)
			wantLost(t, s, keep.Expired, keyA)
			now.Pass(forgetAfter + lookPause.Last)
			wantDisks(t, s, nil)
		})
	}
}

// What a look finds counts for Max.
func TestLookCountsForMax(t *testing.T) {
	o, now := options(t)
	o.Max = 2
	s := started(t, o)
	for _, key := range (keys{keyA, keyB}) {
		used(t, s, key)
		now.Pass(time.Second)
	}
	other := started(t, o)
	written(t, other, keyC)
	dies(other)
	now.Pass(lookPause.First)
	wantLost(t, s, keep.Evicted, keyA)
	wantDisks(t, s, keys{keyB, keyC}, keyA)
}

// What is left alone is said once, until it is another thing.
func TestLookSaysItOnce(t *testing.T) {
	o, now := options(t)
	said := map[string]int{}
	o.LogError = func(line string) { said[line]++ }
	s := started(t, o)
	used(t, s, keyA)
	dies(s)
	temp := kit.Path(o.Path, string(keyB)+".tmp.0123456789abcdef0123")
	if err := errors.Join(mode(kit.Path(o.Path, kit.DiskOf(keyA))), os.Mkdir(temp, 0o700)); err != nil {
		t.Fatal(err)
	}
	s = started(t, o)
	for range 5 {
		now.Pass(lookPause.Last)
	}
	if err := os.Chmod(kit.Path(o.Path, kit.DiskOf(keyA)), 0o640); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		now.Pass(lookPause.Last)
	}
	text := fmt.Sprint(said)
	for _, want := range []string{"mode 0644", "mode 0640", "not a regular file"} {
		if !strings.Contains(text, want) {
			t.Errorf("got %s, want %q in it", text, want)
		}
	}
	for line, times := range said {
		if times != 1 {
			t.Errorf("got %d times %q, want it once", times, line)
		}
	}
}
