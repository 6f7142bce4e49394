// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"testing"
	"time"

	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// graces are what exports are configured to have.
type graces map[string]time.Duration

func (g graces) of(export string) time.Duration { return g[export] * time.Second }

// Each export's disks wait for its own grace, whoever came first.
func TestGraceOfEach(t *testing.T) {
	o, now := options(t)
	o.Grace = nil // no other server left anything
	s := started(t, o)
	usedAs(t, s, keyA, "long", seconds(60))
	usedAs(t, s, keyB, "short", seconds(10))
	now.Pass(5 * time.Second)
	usedAs(t, s, keyC, "short", seconds(10))
	now.Pass(5*time.Second - 1)
	wantWaiting(t, s, "before the first grace", keyA, keyB, keyC)
	now.Pass(1)
	wantWaiting(t, s, "after the first", keyA, keyC)
	wantLost(t, s, keep.Expired, keyB)
	now.Pass(5 * time.Second)
	wantWaiting(t, s, "after the second", keyA)
	wantLost(t, s, keep.Expired, keyC)
	now.Pass(45*time.Second - 1)
	wantWaiting(t, s, "before the last", keyA)
	now.Pass(1)
	wantWaiting(t, s, "after the last")
	wantLost(t, s, keep.Expired, keyA)
}

// Whoever comes back brings its export's policy of now; whoever joins does not.
func TestPolicyOfTheFirst(t *testing.T) {
	o, now := options(t)
	o.Grace = nil
	s := started(t, o)
	share := func(grace time.Duration) Policy { return Policy{Grace: grace, Share: true} }
	first := openAs(t, s, keyA, "", minute, blank(s))
	joined := openAs(t, s, keyA, "", share(time.Hour), none)
	put(t, first, 1, 1, 0)
	put(t, joined, 2, 1, 0)
	wantFenced(t, first) // in spite of the other's policy
	s.Close(first)
	s.Close(joined)

	shared := openAs(t, s, keyA, "", share(2*time.Minute), none)
	joined = openAs(t, s, keyA, "", seconds(1), none)
	if first.Shared() || !shared.Shared() || !joined.Shared() {
		t.Errorf("got shared %v, %v and %v, want all but the first", first.Shared(), shared.Shared(), joined.Shared())
	}
	put(t, joined, 2, 1, 0)
	put(t, shared, 1, 2, 0) // not fenced
	s.Close(shared)
	s.Close(joined)
	now.Pass(2*time.Minute - 1)
	wantWaiting(t, s, "in the grace of the first", keyA)

	s.Close(openAs(t, s, keyA, "", seconds(10), none))
	now.Pass(10*time.Second - 1)
	wantWaiting(t, s, "in the newcomer's grace", keyA)
	now.Pass(1)
	wantLost(t, s, keep.Expired, keyA)
}

// Exports of one server differ in everything, and do not mix.
func TestPolicyOfEachExport(t *testing.T) {
	o, now := options(t)
	o.Grace = nil
	s := started(t, o)
	handover, share := Policy{Grace: time.Minute, Fresh: true}, Policy{Grace: time.Minute, Share: true}
	b := openAs(t, s, keyB, "handover", handover, blank(s))
	c := openAs(t, s, keyC, "share", share, blank(s))
	b2 := openAs(t, s, keyB, "handover", handover, none)
	c2 := openAs(t, s, keyC, "share", share, none)
	for i, conn := range []*Conn{b2, c2, c} {
		put(t, conn, i, 1, 0)
	}
	wantFenced(t, b)
	for _, conn := range []*Conn{b, b2, c, c2} {
		s.Close(conn)
	}
	now.Pass(time.Minute)
	wantLost(t, s, keep.Expired, keyC)
	b = openAs(t, s, keyB, "handover", handover, blank(s))
	wantBlock(t, b, 0, 0, 0)
	s.Close(b)
}

// To make room, what has waited the longest goes, however long it may wait.
func TestRoomOverAllExports(t *testing.T) {
	o, now := options(t)
	o.Grace, o.Max = nil, 3
	s := started(t, o)
	for i, key := range []keep.Key{keyA, keyB, keyC, keyD} { // keyA, the oldest, has the longest
		usedAs(t, s, key, "", seconds([]time.Duration{90, 30, 60, 10}[i]))
		if i%2 == 0 {
			now.Pass(time.Second) // keyB and keyC come at the same time
		}
	}
	wantWaiting(t, s, "one too many", keyB, keyC, keyD)
	wantLost(t, s, keep.Evicted, keyA)
	for _, key := range []keep.Key{keyB, keyC, keyD} {
		if _, ok := s.DropOldest(0); !ok {
			t.Error("got nothing dropped")
		}
		wantLost(t, s, keep.Evicted, key)
	}
	if _, ok := s.DropOldest(0); ok {
		t.Error("got one dropped of none")
	}
}

// What somebody is just taking is neither dropped nor in another's way, and waits as
// before if it was not taken after all.
func TestRoomAroundTheTaken(t *testing.T) {
	s, now := server(t)
	for i, key := range []keep.Key{keyA, keyB, keyC, keyD} {
		usedAs(t, s, key, "", seconds([]time.Duration{10, 20}[i%2]))
	}
	unlock, ok := kit.Lock(t, kit.Path(s.opts.Path, kit.DiskOf(keyA)))
	if !ok {
		t.Fatal("a disk that waits is locked")
	}
	ctx, cancel := context.WithCancel(context.Background())
	opened := make(chan error)
	go func() {
		_, err := s.Open(ctx, keyA, "", minute, none)
		opened <- err
	}()
	eventually(t, "the newcomer", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.live[keyA] != nil })
	if _, ok := s.DropOldest(0); !ok {
		t.Error("got nothing dropped")
	}
	wantWaiting(t, s, "after one had to go", keyC, keyD)
	now.Pass(20 * time.Second)
	wantWaiting(t, s, "after all graces")
	cancel()
	if err := <-opened; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	wantWaiting(t, s, "not taken", keyA)
	unlock()
	now.Pass(0)
	wantWaiting(t, s, "given back")
	wantLost(t, s, keep.Expired, keyA)
}

// What an earlier server left waits for what its export has now.
func TestGraceAfterARestart(t *testing.T) {
	for name, dead := range map[string]bool{"waiting": false, "connected to a dead server": true} {
		t.Run(name, func(t *testing.T) {
			o, now := options(t)
			before := graces{"long": 60, "short": 10, "changed": 60}
			after := graces{"long": 60, "short": 10, "changed": 20}
			o.Grace = before.of
			s := started(t, o)
			for key, export := range map[keep.Key]string{keyA: "long", keyB: "short", keyC: "changed"} {
				c := openAs(t, s, key, export, Policy{Grace: before.of(export)}, blank(s))
				put(t, c, 1, 1, 0)
				if !dead {
					s.Close(c)
				}
			}
			dies(s)
			now.Pass(5 * time.Second)
			o.Grace = after.of
			s = started(t, o)
			begun := now.Now()
			for _, step := range []struct {
				at    time.Duration
				waits []keep.Key
			}{
				{10*time.Second - 1, keys{keyA, keyB, keyC}},
				{10 * time.Second, keys{keyA, keyC}},
				{20*time.Second - 1, keys{keyA, keyC}},
				{20 * time.Second, keys{keyA}},
				{60*time.Second - 1, keys{keyA}},
				{60 * time.Second, nil},
			} {
				now.Pass(step.at - now.Now().Sub(begun))
				wantWaiting(t, s, step.at.String()+" after the start", step.waits...)
			}
			wantLost(t, s, keep.Expired, keyA, keyB, keyC)
		})
	}
}

// A server that starts drops what has waited for longer than its export's grace.
func TestSweepByTheGraceOfEach(t *testing.T) {
	o, now := options(t)
	o.Grace = graces{"long": 60, "short": 10}.of
	s := started(t, o)
	usedAs(t, s, keyA, "long", seconds(60))
	usedAs(t, s, keyB, "short", seconds(10))
	usedAs(t, s, keyC, "gone", seconds(60))
	s.Stop()
	now.Pass(30 * time.Second)
	s = started(t, o)
	wantWaiting(t, s, "at the start", keyA)
	wantLost(t, s, keep.Expired, keyB, keyC)
	wantResumed(t, s, keyA)
}

// After a restart too, the first to make room is what has waited the longest.
func TestRoomAfterARestart(t *testing.T) {
	o, now := options(t)
	g := graces{"x": 10, "y": 20, "z": 30}
	o.Grace = g.of
	s := started(t, o)
	order := keys{keyC, keyA, keyB, keyD}
	for i, key := range order {
		export := []string{"z", "x", "y", "x"}[i]
		usedAs(t, s, key, export, Policy{Grace: g.of(export)})
		now.Pass(time.Second)
	}
	s.Stop()
	s = started(t, o)
	for i := range order {
		if _, ok := s.DropOldest(0); !ok {
			t.Error("got nothing dropped")
		}
		wantWaiting(t, s, "while they go", order[i+1:]...)
	}
}

// Whose client was connected when its server died has worked until then: its disk is the
// youngest, once.
func TestRoomAfterADeath(t *testing.T) {
	for name, tt := range map[string]struct {
		between func(t *testing.T, s *Sessions) // with a server that has room for all; nil is none
		goes    keep.Key
	}{
		"at once":                       {nil, keyB},
		"another server has looked":     {func(*testing.T, *Sessions) {}, keyB},
		"others were used since a look": {func(t *testing.T, s *Sessions) { used(t, s, keyB, keyC) }, keyA},
	} {
		t.Run(name, func(t *testing.T) {
			o, now := options(t)
			s := started(t, o)
			written(t, s, keyA)
			for _, key := range []keep.Key{keyB, keyC} {
				now.Pass(time.Second)
				used(t, s, key)
			}
			dies(s)
			now.Pass(time.Second)
			if tt.between != nil {
				s = started(t, o)
				now.Pass(time.Second)
				tt.between(t, s)
				dies(s)
			}
			now.Pass(time.Second)
			o.Max = 2
			s = started(t, o)
			wantLost(t, s, keep.Evicted, tt.goes)
			for _, key := range []keep.Key{keyA, keyB, keyC} {
				if key != tt.goes {
					wantResumed(t, s, key)
				}
			}
		})
	}
}

// What is connected at another server takes no room here.
func TestRoomBesideAnotherServer(t *testing.T) {
	o, now := options(t)
	a := started(t, o)
	for _, key := range []keep.Key{keyB, keyC, keyD} {
		written(t, a, key)
	}
	used(t, a, keyA)
	a.Stop()
	o.Max = 1
	b := started(t, o)
	for range 3 {
		wantResumed(t, b, keyA)
		now.Pass(minute.Grace - 1)
	}
	if _, ok := b.DropOldest(0); !ok {
		t.Error("got nothing dropped")
	}
	wantLost(t, b, keep.Evicted, keyA)
	if _, ok := b.DropOldest(0); ok {
		t.Error("got another server's disk dropped")
	}
}

// A grace that is changed while a disk waits is not its own.
func TestGraceChangesMeanwhile(t *testing.T) {
	for name, now := range map[string]time.Duration{"shorter": 1, "longer": 600} {
		t.Run(name, func(t *testing.T) {
			o, clock := options(t)
			o.Grace = graces{"e": now}.of
			s := started(t, o)
			usedAs(t, s, keyA, "e", seconds(60))
			clock.Pass(time.Minute - 1)
			wantWaiting(t, s, "in its grace", keyA)
			clock.Pass(1)
			wantWaiting(t, s, "after it")
			wantLost(t, s, keep.Expired, keyA)
		})
	}
}

// What waits anew after another server's client has used it, or has died with its
// server, has its export's grace.
func TestGraceAfterAnotherServer(t *testing.T) {
	for name, dead := range map[string]bool{"left by its client": false, "left by a dead server": true} {
		t.Run(name, func(t *testing.T) {
			o, now := options(t)
			o.Grace = graces{"e": 60}.of
			a, b := started(t, o), started(t, o)
			usedAs(t, a, keyA, "e", seconds(10))
			now.Pass(9 * time.Second)
			c := openAs(t, b, keyA, "e", seconds(60), none)
			if !dead {
				b.Close(c)
			}
			dies(b)
			now.Pass(time.Second) // over for a
			wantWaiting(t, a, "after the old grace", keyA)
			now.Pass(58 * time.Second)
			wantWaiting(t, a, "in the grace of now", keyA)
			now.Pass(time.Second)
			if dead { // a has only now found out
				wantWaiting(t, a, "with its server found dead a second ago", keyA)
				now.Pass(time.Second)
			}
			wantWaiting(t, a, "after it")
			wantLost(t, a, keep.Expired, keyA)
		})
	}
}

// What another server has when its time here is over is looked at again after as long,
// and if it is left meanwhile, has its export's grace from then on.
func TestGraceWhileElsewhere(t *testing.T) {
	o, now := options(t)
	o.Grace = graces{"e": 60}.of
	a, b := started(t, o), started(t, o)
	usedAs(t, a, keyA, "e", seconds(10))
	c := openAs(t, b, keyA, "e", seconds(60), none)
	now.Pass(10 * time.Second)
	wantWaiting(t, a, "while it is elsewhere", keyA)
	now.Pass(5 * time.Second)
	b.Close(c)
	dies(b)
	now.Pass(5 * time.Second)
	wantWaiting(t, a, "looked at again", keyA)
	now.Pass(55*time.Second - 1)
	wantWaiting(t, a, "in its export's grace", keyA)
	now.Pass(1)
	wantWaiting(t, a, "after it")
	wantLost(t, a, keep.Expired, keyA)
}

// What another server has when this one starts waits, should that one die, as its
// export has it.
func TestGraceOfWhatIsElsewhere(t *testing.T) {
	for name, tt := range map[string]struct{ grace, wait time.Duration }{
		"in an export":                 {10, 10 * time.Second},
		"in one that has no grace now": {0, leastPause},
	} {
		t.Run(name, func(t *testing.T) {
			o, now := options(t)
			o.Grace = graces{"e": tt.grace}.of
			a := started(t, o)
			put(t, openAs(t, a, keyA, "e", seconds(60), blank(a)), 1, 1, 0)
			b := started(t, o)
			now.Pass(tt.wait)
			wantWaiting(t, b, "while it is elsewhere", keyA)
			dies(a)
			now.Pass(tt.wait - 1)
			wantWaiting(t, b, "before b looks", keyA)
			now.Pass(1)
			wantWaiting(t, b, "with its server found dead", keyA)
			now.Pass(tt.wait)
			wantWaiting(t, b, "after its grace")
			wantLost(t, b, keep.Expired, keyA)
		})
	}
}
