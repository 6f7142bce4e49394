// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// seconds is a policy of that grace.
func seconds(n time.Duration) Policy { return Policy{Grace: n * time.Second} }

// keepers runs a test with disks in memory and in a Dir. make makes a disk.
func keepers(t *testing.T, test func(t *testing.T, o Options, now *clock, make func() Disk)) {
	t.Run("memory", func(t *testing.T) {
		now := newClock()
		test(t, testOptions(t, now), now, func() Disk { return newFake() })
	})
	t.Run("dir", func(t *testing.T) {
		now, parent := newClock(), t.TempDir()
		test(t, dirOptions(t, now, parent), now, func() Disk { return must(blank(t, parent, testSize)) })
	})
}

// wantWaiting fails the test unless these wait, and no others.
func wantWaiting(t *testing.T, s *Sessions, when string, want ...Key) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if got := s.waiting.len(); got != len(want) {
		t.Errorf("%s: got %d that wait, want %d", when, got, len(want))
	}
	for _, key := range want {
		if s.waiting.at[key] == nil {
			t.Errorf("%s: session %s does not wait", when, key.Short())
		}
	}
}

// Each export's disks wait for its own grace, whoever came first.
func TestGraceOfEach(t *testing.T) {
	keepers(t, func(t *testing.T, o Options, now *clock, disk func() Disk) {
		o.Grace = nil // no other server left anything
		s := started(t, o)
		usedAs(t, s, keyA, "long", seconds(60), disk(), 1)
		usedAs(t, s, keyB, "short", seconds(10), disk(), 2)
		now.pass(5 * time.Second)
		usedAs(t, s, keyC, "short", seconds(10), disk(), 3)
		now.pass(5*time.Second - 1)
		wantWaiting(t, s, "before the first grace", keyA, keyB, keyC)
		now.pass(1)
		wantWaiting(t, s, "after the first", keyA, keyC)
		wantLost(t, s, keyB, Expired)
		now.pass(5 * time.Second)
		wantWaiting(t, s, "after the second", keyA)
		wantLost(t, s, keyC, Expired)
		now.pass(45*time.Second - 1)
		wantWaiting(t, s, "before the last", keyA)
		now.pass(1)
		wantWaiting(t, s, "after the last")
		wantLost(t, s, keyA, Expired)
		s.Stop()
	})
}

// Whoever comes back brings its export's policy of now; whoever joins does not.
func TestPolicyOfTheFirst(t *testing.T) {
	keepers(t, func(t *testing.T, o Options, now *clock, disk func() Disk) {
		o.Grace = nil
		s := started(t, o)
		ctx := context.Background()
		first := openAs(t, s, keyA, "", Policy{Grace: time.Minute, Conflict: Refuse}, fresh(disk()))
		put(t, first, 1, 1, 0)
		if _, err := s.Open(ctx, keyA, "", Policy{Grace: time.Hour, Conflict: Share}, none); !errors.Is(err, unix.EBUSY) {
			t.Errorf("refused in spite of its own policy: got %v, want EBUSY", err)
		}
		s.Close(first)

		shared := openAs(t, s, keyA, "", Policy{Grace: 2 * time.Minute, Conflict: Share}, none)
		joined := openAs(t, s, keyA, "", Policy{Grace: time.Second, Conflict: Refuse}, none)
		if !shared.Shared() || !joined.Shared() {
			t.Errorf("got shared %v and %v, want both", shared.Shared(), joined.Shared())
		}
		put(t, joined, 2, 1, 0)
		put(t, shared, 1, 2, 0) // not fenced
		s.Close(shared)
		s.Close(joined)
		now.pass(2*time.Minute - 1)
		wantWaiting(t, s, "in the grace of the first", keyA)

		s.Close(openAs(t, s, keyA, "", seconds(10), none))
		now.pass(10*time.Second - 1)
		wantWaiting(t, s, "in the newcomer's grace", keyA)
		now.pass(1)
		wantLost(t, s, keyA, Expired)
		s.Stop()
	})
}

// Three exports of one server differ in everything, and do not mix.
func TestPolicyOfEachExport(t *testing.T) {
	keepers(t, func(t *testing.T, o Options, now *clock, disk func() Disk) {
		o.Grace = nil
		s := started(t, o)
		refuse := Policy{Grace: time.Minute, Conflict: Refuse}
		handover := Policy{Grace: time.Minute, Conflict: Handover, Fresh: true}
		share := Policy{Grace: time.Minute, Conflict: Share}
		a := openAs(t, s, keyA, "refuse", refuse, fresh(disk()))
		b := openAs(t, s, keyB, "handover", handover, fresh(disk()))
		c := openAs(t, s, keyC, "share", share, fresh(disk()))
		if _, err := s.Open(context.Background(), keyA, "refuse", refuse, none); !errors.Is(err, unix.EBUSY) {
			t.Errorf("refuse: got %v, want EBUSY", err)
		}
		b2 := openAs(t, s, keyB, "handover", handover, none)
		c2 := openAs(t, s, keyC, "share", share, none)
		for i, conn := range []*Conn{a, b2, c2, c} {
			put(t, conn, i, 1, 0)
		}
		wantFenced(t, b)
		for _, conn := range []*Conn{a, b, b2, c, c2} {
			s.Close(conn)
		}
		now.pass(time.Minute)
		wantLost(t, s, keyA, Expired)
		wantLost(t, s, keyC, Expired)
		b = openAs(t, s, keyB, "handover", handover, fresh(disk()))
		wantBlock(t, b, 0, 0, 0)
		s.Close(b)
		s.Stop()
	})
}

// To make room, what has waited the longest goes, however long it may wait.
func TestRoomOverAllExports(t *testing.T) {
	keepers(t, func(t *testing.T, o Options, now *clock, disk func() Disk) {
		o.Grace = nil
		o.Max = 3
		s := started(t, o)
		keyD := NewKey("e", "d", "")
		for i, key := range []Key{keyA, keyB, keyC, keyD} { // keyA, the oldest, has the longest
			usedAs(t, s, key, "", seconds([]time.Duration{90, 30, 60, 10}[i]), disk(), i)
			if i%2 == 0 {
				now.pass(time.Second) // keyB and keyC come at the same time
			}
		}
		wantWaiting(t, s, "one too many", keyB, keyC, keyD)
		wantLost(t, s, keyA, Evicted)
		for _, key := range []Key{keyB, keyC, keyD} {
			if _, ok := s.DropOldest(); !ok {
				t.Error("got nothing dropped")
			}
			wantLost(t, s, key, Evicted)
		}
		if _, ok := s.DropOldest(); ok {
			t.Error("got one dropped of none")
		}
		s.Stop()
	})
}

// What somebody is just taking is neither dropped nor in another's way.
func TestRoomAroundTheTaken(t *testing.T) {
	now := newClock()
	s := started(t, testOptions(t, now))
	keyD := NewKey("e", "d", "")
	for i, key := range []Key{keyA, keyB, keyC, keyD} { // in two lines: A and C, B and D
		usedAs(t, s, key, "", seconds([]time.Duration{10, 20}[i%2]), newFake(), i)
	}
	s.mu.Lock()
	taken := []*session{s.takeIdle(keyA), s.takeIdle(keyB)}
	s.schedule()
	s.mu.Unlock()
	if _, ok := s.DropOldest(); !ok {
		t.Error("got nothing dropped")
	}
	wantWaiting(t, s, "after one had to go", keyA, keyB, keyD)
	now.pass(20 * time.Second)
	wantWaiting(t, s, "after all graces", keyA, keyB)
	for _, mine := range taken {
		s.giveBack(mine)
	}
	s.tick()
	wantWaiting(t, s, "given back")
	s.Stop()
}
