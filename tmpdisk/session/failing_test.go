// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// withoutDescriptors runs f while no file can be opened.
func withoutDescriptors(t *testing.T, f func()) {
	t.Helper()
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: old.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	f()
}

// A disk that lacks what was written does not come back only because no note
// could be written when its client left.
func TestFailedDiskWithoutNote(t *testing.T) {
	parent := t.TempDir()
	o := dirOptions(t, nil, parent)
	o.Sync = true
	s := started(t, o)
	c := open(t, s, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
	c.session.fail(unix.EIO)
	withoutDescriptors(t, func() { s.Close(c) })
	wantLost(t, s, keyA, Failed)
	wantFiles(t, parent, recordOf(keyA))

	// Another disk of that name has not failed.
	usedAs(t, s, keyA, "export", freshMinute, must(blank(t, parent, testSize)), 2)
	c = open(t, s, keyA, none)
	wantBlock(t, c, 2, 1, 0)
	s.Close(c)
}

// What nobody used here may be another server's by now.
func TestOvertakenUntouched(t *testing.T) {
	a, b, parent := two(t, nil, true)
	c := open(t, a, keyA, blank(t, parent, testSize))
	change(t, parent, keyA, func(r *record) { r.Generation++ })
	a.Close(c)
	wantFiles(t, parent, diskOf(keyA), recordOf(keyA))
	b.Close(open(t, b, keyA, none))
}

// A clock that is set back keeps no disk for good.
func TestClockSetBack(t *testing.T) {
	for name, by := range map[string]time.Duration{"a little": time.Second, "a grace": time.Minute, "a year": 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			parent, now := t.TempDir(), newClock()
			s := started(t, dirOptions(t, now, parent))
			used(t, s, keyA, must(blank(t, parent, testSize)), 1)
			change(t, parent, keyA, func(r *record) { r.Used = r.Used.Add(by) })
			for range 3 {
				now.pass(minute.Grace)
			}
			wantLost(t, s, keyA, Expired)
			wantFiles(t, parent, recordOf(keyA))
		})
	}
}

// A clock that is set forward makes no server forget what it found.
func TestClockSetForward(t *testing.T) {
	parent := t.TempDir()
	s := started(t, dirOptions(t, nil, parent))
	used(t, s, keyA, must(blank(t, parent, testSize)), 1)
	s.DropOldest()
	s.Stop()
	s = started(t, dirOptions(t, nil, parent))
	defer s.Stop()
	e, ok := s.lost.oldest()
	if !ok || !strings.Contains(e.since.String(), " m=") {
		t.Errorf("got lost since %v, want a time of the monotonic clock", e.since)
	}
}

// A server that is short of descriptors when a disk expires drops it later.
func TestDropWithoutDescriptors(t *testing.T) {
	parent, now := t.TempDir(), newClock()
	s := started(t, dirOptions(t, now, parent))
	used(t, s, keyA, must(blank(t, parent, testSize)), 1)
	withoutDescriptors(t, func() { now.pass(minute.Grace) })
	wantFiles(t, parent, diskOf(keyA), recordOf(keyA))
	now.pass(minute.Grace)
	wantLost(t, s, keyA, Expired)
	wantFiles(t, parent, recordOf(keyA))
}

// The disks of a server that is killed are dropped by those that go on, whether
// they started before their clients came or after.
func TestDropForTheDead(t *testing.T) {
	parent, now := t.TempDir(), newClock()
	a := started(t, dirOptions(t, now, parent))
	put(t, open(t, a, keyA, blank(t, parent, testSize)), 1, 1, 0)
	used(t, a, keyB, must(blank(t, parent, testSize)), 1)
	b := started(t, dirOptions(t, now, parent))
	open(t, a, keyB, none)
	now.pass(minute.Grace)
	wantFiles(t, parent, diskOf(keyA), recordOf(keyA), diskOf(keyB), recordOf(keyB))
	dies(a)
	now.pass(minute.Grace) // is when b notices
	c := open(t, b, keyA, none)
	wantBlock(t, c, 1, 1, 0)
	b.Close(c)
	now.pass(minute.Grace)
	wantLost(t, b, keyA, Expired)
	wantLost(t, b, keyB, Expired)
	now.pass(a.opts.Forget)
	wantFiles(t, parent)
}

// To a server that starts later, the grace of the dead one's sessions begins then,
// and it is no longer than others.
func TestGraceAfterADeath(t *testing.T) {
	parent, now := t.TempDir(), newClock()
	a := started(t, dirOptions(t, now, parent))
	put(t, open(t, a, keyA, blank(t, parent, testSize)), 1, 1, 0)
	dies(a)
	now.pass(2 * minute.Grace)
	b := started(t, dirOptions(t, now, parent))
	wantFiles(t, parent, diskOf(keyA), recordOf(keyA))
	now.pass(minute.Grace)
	wantFiles(t, parent, recordOf(keyA))
	wantLost(t, b, keyA, Expired)
}
