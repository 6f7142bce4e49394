// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"

	"golang.org/x/sys/unix"
)

// used has a session's disk written to, and lets it wait.
func used(t testing.TB, s *Sessions, key Key, d Disk, conn int) {
	t.Helper()
	usedAs(t, s, key, "export", minute, d, conn)
}

func usedAs(t testing.TB, s *Sessions, key Key, export string, policy Policy, d Disk, conn int) {
	t.Helper()
	c := openAs(t, s, key, export, policy, fresh(d))
	put(t, c, conn, 1, 0)
	s.Close(c)
}

func TestGrace(t *testing.T) {
	now := newClock()
	s := started(t, testOptions(t, now))
	d := newFake()
	used(t, s, keyA, d, 1)
	for range 3 { // each time, grace begins anew
		now.pass(time.Minute - 1)
		c := open(t, s, keyA, none)
		now.pass(time.Hour) // connected, it does not wait
		wantBlock(t, c, 1, 1, 0)
		s.Close(c)
	}
	now.pass(time.Minute)
	if !d.closed.Load() {
		t.Fatal("after its grace the disk is still there")
	}
	for range 2 { // asking changes nothing
		wantLost(t, s, keyA, Expired)
		now.pass(time.Hour/2 - 1)
	}
	wantLost(t, s, keyA, Expired)
	now.pass(2)
	used(t, s, keyA, newFake(), 2) // forgotten
	s.Stop()
}

func TestLostErrorSaysWhatToDo(t *testing.T) {
	err := error(&LostError{keyA, Evicted})
	testkit.Contains(t, err, string(keyA[:12]), "session-max", "a token of its own", "session-lost=fresh")
	for why := range reasons {
		if why == "" || !strings.Contains((&LostError{keyA, why}).Error(), reasons[why]) {
			t.Errorf("reason %q is not said", why)
		}
	}
}

func TestFreshInPlaceOfLost(t *testing.T) {
	now := newClock()
	s := started(t, testOptions(t, now))
	used(t, s, keyA, newFake(), 1)
	now.pass(time.Minute)
	c := openAs(t, s, keyA, "export", freshMinute, fresh(newFake()))
	wantBlock(t, c, 0, 0, 0)
	put(t, c, 2, 1, 0)
	s.Close(c)
	c = open(t, s, keyA, none)
	wantBlock(t, c, 2, 1, 0)
	now.pass(2 * time.Hour) // longer than Forget, since the first was lost
	s.Close(c)
	now.pass(time.Minute)
	wantLost(t, s, keyA, Expired)
}

func TestMaxDropsTheOldest(t *testing.T) {
	now := newClock()
	o := testOptions(t, now)
	o.Max = 2
	s := started(t, o)
	disks := map[Key]*fakeDisk{}
	for i, key := range []Key{keyA, keyB, keyA, keyC} { // keyA comes again, and is younger then
		if disks[key] == nil {
			disks[key] = newFake()
		}
		used(t, s, key, disks[key], i)
		now.pass(time.Second)
	}
	if disks[keyA].closed.Load() || !disks[keyB].closed.Load() || disks[keyC].closed.Load() {
		t.Error("got another one dropped, want the second")
	}
	wantLost(t, s, keyB, Evicted)
	for i, want := range []bool{true, true, false} {
		if _, got := s.DropOldest(); got != want {
			t.Errorf("call %d: got %v, want %v", i, got, want)
		}
	}
	wantLost(t, s, keyA, Evicted)
	wantLost(t, s, keyC, Evicted)
}

func TestConnectedIsNotDropped(t *testing.T) {
	s := started(t, testOptions(t, nil))
	d := newFake()
	c := open(t, s, keyA, fresh(d))
	put(t, c, 1, 1, 0)
	if _, ok := s.DropOldest(); ok || d.closed.Load() {
		t.Error("a disk that does not wait was dropped")
	}
	s.Close(c)
}

func TestUntouchedLeavesNoSession(t *testing.T) {
	now := newClock()
	s := started(t, testOptions(t, now))
	for range 3 {
		d := newFake()
		s.Close(open(t, s, keyA, fresh(d)))
		if !d.closed.Load() {
			t.Error("an untouched disk waits")
		}
		now.pass(time.Hour)
	}
	// It is only as good as new if no client ever used it.
	used(t, s, keyA, newFake(), 1)
	s.Close(open(t, s, keyA, none))
	c := open(t, s, keyA, none)
	wantBlock(t, c, 1, 1, 0)
}

// Whoever was told where the data is knows something of the disk.
func TestExtentsMakeASession(t *testing.T) {
	s := started(t, testOptions(t, nil))
	d := newFake()
	c := open(t, s, keyA, fresh(d))
	if err := c.Do(disk.Request{Op: disk.Extents, Count: 1}); err != nil {
		t.Fatal(err)
	}
	s.Close(c)
	if c = open(t, s, keyA, none); c.Disk() != d {
		t.Error("got another disk")
	}
	s.Close(c)
}

func TestLimitOfLost(t *testing.T) {
	now := newClock()
	o := testOptions(t, now)
	o.maxLost = 2
	s := started(t, o)
	for _, key := range []Key{keyA, keyB, keyC} {
		used(t, s, key, newFake(), 1)
		s.DropOldest()
		now.pass(time.Second)
	}
	wantLost(t, s, keyB, Evicted)
	wantLost(t, s, keyC, Evicted)
	if got := len(s.keeper.(*memory).lost); got != 2 {
		t.Errorf("got %d notes, want 2", got)
	}
	used(t, s, keyA, newFake(), 2) // forgotten
}

func TestTogetherWaitForOneMaking(t *testing.T) {
	s := started(t, testOptions(t, nil))
	var made atomic.Int32
	making := make(chan struct{})
	var all sync.WaitGroup
	for range 10 {
		spawn(&all, func() {
			c, err := s.Open(context.Background(), keyA, "", minute, func(context.Context) (Disk, error) {
				made.Add(1)
				<-making
				return newFake(), nil
			})
			if err != nil {
				t.Error(err)
				return
			}
			if err := c.PRead(make([]byte, blockSize), 0); err != nil {
				t.Error(err)
			}
			s.Close(c)
		})
	}
	eventually(t, "the making", func() bool { return made.Load() == 1 })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Open(ctx, keyA, "", minute, none); !errors.Is(err, context.Canceled) {
		t.Errorf("whoever waits no longer: got %v, want context.Canceled", err)
	}
	close(making)
	all.Wait()
	if got := made.Load(); got != 1 {
		t.Errorf("got %d disks made, want 1", got)
	}
}

// The next one makes it if the first fails or leaves.
func TestMakerLeaves(t *testing.T) {
	s := started(t, testOptions(t, nil))
	ctx, cancel := context.WithCancel(context.Background())
	making := make(chan struct{})
	first := make(chan error)
	go func() {
		_, err := s.Open(ctx, keyA, "", minute, func(ctx context.Context) (Disk, error) {
			close(making)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		first <- err
	}()
	<-making
	second := make(chan *Conn)
	go func() {
		c, err := s.Open(context.Background(), keyA, "", minute, fresh(newFake()))
		if err != nil {
			t.Error(err)
		}
		second <- c
	}()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the first: got %v, want context.Canceled", err)
	}
	if c := <-second; c != nil {
		put(t, c, 2, 1, 0)
		s.Close(c)
	}
}

// A maker that panics leaves the session to the next client.
func TestMakerPanics(t *testing.T) {
	s := New(Options{Forget: time.Hour, Max: 10, Debug: testkit.Quiet, LogError: testkit.Quiet})
	defer s.Stop()
	func() {
		defer func() { recover() }()
		s.Open(context.Background(), "key", "", minute, func(context.Context) (Disk, error) { panic("the maker's") })
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := s.Open(ctx, "key", "", minute, func(context.Context) (Disk, error) { return nil, unix.ENOSPC })
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v, want %v", err, unix.ENOSPC)
	}
}
