// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// inVain is what a client gets that does not wait for long.
func inVain(t *testing.T, s *Sessions, key keep.Key, make kit.Maker) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	c, err := s.Open(ctx, key, "export", minute, make)
	if err == nil {
		s.Close(c)
		t.Fatalf("session %s: got a disk", key.Short())
	}
	return err
}

// While the directory hangs, clients may leave that ask for a session. It stays what it
// was, and is there when the directory answers. Only so many threads are taken.
func TestDirThatHangs(t *testing.T) {
	dir, stop, goOn := testkit.HangingFUSE(t)
	o, now := options(t)
	o.Path = dir
	o.AtStart = true
	s := started(t, o)
	s.hall.Patience = 0
	elsewhere := kit.Blank(t.TempDir(), kit.Size)
	c := openAs(t, s, keyA, "export", minute, elsewhere)
	put(t, c, 1, 1, 0)
	s.Close(c)
	idle(t, s)
	stop()
	for range 3 {
		for _, key := range (keys{keyA, keyB}) {
			if err := inVain(t, s, key, elsewhere); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("session %s: got %v, want the client's leaving", key.Short(), err)
			}
		}
	}
	var err error
	for i := range mostLeft {
		if err = inVain(t, s, keep.NewKey("e", fmt.Sprint(i), ""), elsewhere); errors.Is(err, unix.EAGAIN) {
			break
		}
	}
	testkit.Contains(t, err, "does not answer")
	if s.hall.Left() != mostLeft {
		t.Errorf("got %d that are begun, want %d", s.hall.Left(), mostLeft)
	}
	goOn()
	eventually(t, "the end of what is begun", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.live) == 0 && s.hall.Left() == 0
	})
	wantWaiting(t, s, "when the directory answers", keyA)
	wantResumed(t, s, keyA)
	idle(t, s)
	kit.WantFiles(t, dir, kit.DiskOf(keyA), kit.RecordOf(keyA), "lock")
	now.Pass(minute.Grace)
	wantLost(t, s, keep.Expired, keyA)
}

// A disk that was obtained when its client had left is given back, whether this server
// knew that it waits or not.
func TestLeavesBeforeItIsServed(t *testing.T) {
	for _, known := range []bool{true, false} {
		o, now := options(t)
		s := started(t, o)
		other := started(t, o)
		used(t, other, keyA)
		idle(t, other)
		if known {
			s = other
		}
		s.mu.Lock()
		mine := s.take(keyA, minute)
		s.mu.Unlock()
		if !mine.client.Leave() {
			t.Error("the client may not leave")
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := s.begin(ctx, mine, "export", none); !errors.Is(err, context.Canceled) {
			t.Errorf("known %v: got %v, want the client's leaving", known, err)
		}
		wantWaiting(t, s, "after its client has left", keyA)
		wantResumed(t, s, keyA)
		idle(t, s)
		now.Pass(minute.Grace)
		wantLost(t, s, keep.Expired, keyA)
	}
}
