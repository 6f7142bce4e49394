// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package writeback

import (
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

var key = keep.NewKey("e", "a", "")

// open returns a descriptor of a new file.
func open(t *testing.T) int {
	t.Helper()
	fd, err := unix.Open(filepath.Join(t.TempDir(), "file"), unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

func isOpen(fd int) bool {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	return err == nil
}

// held returns a queue that asks about its first file until goOn.
func held(t *testing.T) (q *Queue, asked *atomic.Int32, goOn func()) {
	t.Helper()
	asked = new(atomic.Int32)
	hold := make(chan struct{})
	q = New(func(int) error {
		asked.Add(1)
		<-hold
		return nil
	}, testkit.Quiet)
	q.Add(Job{Key: key, Seen: new(Seen), FD: open(t)})
	testkit.WaitFor(t, "the first question", func() bool { return asked.Load() == 1 })
	return q, asked, func() {
		close(hold)
		testkit.WaitFor(t, "the end", q.Idle)
	}
}

// While a round goes on, there is no other one.
func TestOneRoundAtATime(t *testing.T) {
	q, asked, goOn := held(t)
	opens := 0
	round := []Job{{Key: key, Seen: new(Seen), Open: func() int { opens++; return open(t) }}, {Key: key, Open: func() int { return -1 }}}
	for range 3 {
		q.Round(round)
	}
	q.Forget(key) // which is not for a round
	goOn()
	if opens != 1 || asked.Load() != 2 {
		t.Errorf("opened %d times, asked %d times, want 1 and 2", opens, asked.Load())
	}
	q.Round(round)
	testkit.WaitFor(t, "the next round", func() bool { return q.Idle() })
	if opens != 2 {
		t.Errorf("opened %d times, want 2", opens)
	}
}

// What does not come to its turn is closed.
func TestDescriptorsAreClosed(t *testing.T) {
	q, asked, goOn := held(t)
	var fds []int
	for i := range mostLeft + 1 {
		fds = append(fds, open(t))
		if ok := q.Add(Job{Key: key, Seen: new(Seen), FD: fds[i]}); ok != (i < mostLeft) {
			t.Errorf("number %d: got %v", i, ok)
		}
	}
	if isOpen(fds[mostLeft]) {
		t.Error("one too many is open")
	}
	q.Forget(key)
	fds = append(fds, open(t))
	if !q.Add(Job{Key: key, Seen: new(Seen), FD: fds[mostLeft+1]}) {
		t.Error("there is no room for one more")
	}
	q.Stop()
	for _, fd := range fds {
		if isOpen(fd) {
			t.Errorf("descriptor %d is open", fd)
		}
	}
	goOn()
	if asked.Load() != 1 {
		t.Errorf("asked %d times, want 1", asked.Load())
	}
	late := open(t)
	if q.Add(Job{Key: key, Seen: new(Seen), FD: late}) || isOpen(late) {
		t.Error("one more after the end")
	}
}

// A file that was removed has no data to lose.
func TestRemovedFile(t *testing.T) {
	asked := 0
	q := New(func(int) error { asked++; return nil }, testkit.Quiet)
	path := filepath.Join(t.TempDir(), "file")
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_CLOEXEC, 0o600)
	if err == nil {
		err = os.Remove(path)
	}
	if err != nil {
		t.Fatal(err)
	}
	q.Add(Job{Key: key, Seen: new(Seen), FD: fd})
	testkit.WaitFor(t, "the end", q.Idle)
	if asked != 0 {
		t.Error("asked about a file that is gone")
	}
}
