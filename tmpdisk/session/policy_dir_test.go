// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"testing"
	"time"
)

// graces are what exports are configured to have.
type graces map[string]time.Duration

func (g graces) of(export string) time.Duration { return g[export] * time.Second }

// What an earlier server left waits for what its export has now.
func TestGraceAfterARestart(t *testing.T) {
	for name, dead := range map[string]bool{"waiting": false, "connected to a dead server": true} {
		t.Run(name, func(t *testing.T) {
			parent, now := t.TempDir(), newClock()
			before := graces{"long": 60, "short": 10, "changed": 60}
			after := graces{"long": 60, "short": 10, "changed": 20}
			o := dirOptions(t, now, parent)
			o.Grace = before.of
			s := started(t, o)
			for key, export := range map[Key]string{keyA: "long", keyB: "short", keyC: "changed"} {
				c := openAs(t, s, key, export, Policy{Grace: before.of(export)}, blank(t, parent, testSize))
				put(t, c, 1, 1, 0)
				if !dead {
					s.Close(c)
				}
			}
			dies(s)
			now.pass(5 * time.Second)
			o.Grace = after.of
			s = started(t, o)
			for _, step := range []struct {
				at    time.Duration
				waits []Key
			}{
				{10*time.Second - 1, []Key{keyA, keyB, keyC}},
				{10 * time.Second, []Key{keyA, keyC}},
				{20*time.Second - 1, []Key{keyA, keyC}},
				{20 * time.Second, []Key{keyA}},
				{60*time.Second - 1, []Key{keyA}},
				{60 * time.Second, nil},
			} {
				now.pass(step.at - now.now().Sub(time.Unix(1e9, 0).Add(5*time.Second)))
				wantWaiting(t, s, step.at.String()+" after the start", step.waits...)
			}
			for _, key := range []Key{keyA, keyB, keyC} {
				wantLost(t, s, key, Expired)
			}
		})
	}
}

// A server that starts drops what has waited for longer than its export's grace.
func TestSweepByTheGraceOfEach(t *testing.T) {
	parent, now := t.TempDir(), newClock()
	o := dirOptions(t, now, parent)
	o.Grace = graces{"long": 60, "short": 10}.of
	s := started(t, o)
	usedAs(t, s, keyA, "long", seconds(60), must(blank(t, parent, testSize)), 1)
	usedAs(t, s, keyB, "short", seconds(10), must(blank(t, parent, testSize)), 1)
	usedAs(t, s, keyC, "gone", seconds(60), must(blank(t, parent, testSize)), 1)
	s.Stop()
	now.pass(30 * time.Second)
	s = started(t, o)
	wantWaiting(t, s, "at the start", keyA)
	wantLost(t, s, keyB, Expired)
	wantLost(t, s, keyC, Expired)
	s.Close(open(t, s, keyA, none))
}

// After a restart too, the first to make room is what has waited the longest.
func TestRoomAfterARestart(t *testing.T) {
	parent, now := t.TempDir(), newClock()
	o := dirOptions(t, now, parent)
	g := graces{"x": 10, "y": 20, "z": 30}
	o.Grace = g.of
	s := started(t, o)
	order := []Key{keyC, keyA, keyB, NewKey("e", "d", "")}
	for i, key := range order {
		export := []string{"z", "x", "y", "x"}[i]
		usedAs(t, s, key, export, Policy{Grace: g.of(export)}, must(blank(t, parent, testSize)), 1)
		now.pass(time.Second)
	}
	s.Stop()
	s = started(t, o)
	for i := range order {
		if _, ok := s.DropOldest(); !ok {
			t.Error("got nothing dropped")
		}
		wantWaiting(t, s, "while they go", order[i+1:]...)
	}
}

// A grace that is changed while a disk waits is not its own.
func TestGraceChangesMeanwhile(t *testing.T) {
	for name, now := range map[string]time.Duration{"shorter": 1, "longer": 600} {
		t.Run(name, func(t *testing.T) {
			parent, clock := t.TempDir(), newClock()
			o := dirOptions(t, clock, parent)
			o.Grace = graces{"e": now}.of
			s := started(t, o)
			usedAs(t, s, keyA, "e", seconds(60), must(blank(t, parent, testSize)), 1)
			clock.pass(time.Minute - 1)
			wantWaiting(t, s, "in its grace", keyA)
			clock.pass(1)
			wantWaiting(t, s, "after it")
			wantLost(t, s, keyA, Expired)
		})
	}
}

// What waits anew after another server's client has used it, or has died with its
// server, has its export's grace.
func TestGraceAfterAnotherServer(t *testing.T) {
	for name, dead := range map[string]bool{"left by its client": false, "left by a dead server": true} {
		t.Run(name, func(t *testing.T) {
			parent, now := t.TempDir(), newClock()
			o := dirOptions(t, now, parent)
			o.Grace = graces{"e": 60}.of
			a, b := started(t, o), started(t, o)
			usedAs(t, a, keyA, "e", seconds(10), must(blank(t, parent, testSize)), 1)
			now.pass(9 * time.Second)
			c := openAs(t, b, keyA, "e", seconds(60), none)
			if !dead {
				b.Close(c)
			}
			dies(b)
			now.pass(time.Second) // over for a
			wantWaiting(t, a, "after the old grace", keyA)
			now.pass(59 * time.Second)
			wantWaiting(t, a, "in the grace of now", keyA)
			now.pass(time.Second)
			if dead { // a has only now found out
				wantWaiting(t, a, "with its server found dead", keyA)
				now.pass(time.Minute)
			}
			wantWaiting(t, a, "after it")
			wantLost(t, a, keyA, Expired)
		})
	}
}

// What another server has when its time here is over is looked at again after its
// export's grace, which is how long it is to wait if it is left just then.
func TestGraceWhileElsewhere(t *testing.T) {
	parent, now := t.TempDir(), newClock()
	o := dirOptions(t, now, parent)
	o.Grace = graces{"e": 60}.of
	a, b := started(t, o), started(t, o)
	usedAs(t, a, keyA, "e", seconds(10), must(blank(t, parent, testSize)), 1)
	c := openAs(t, b, keyA, "e", seconds(60), none)
	now.pass(10 * time.Second)
	wantWaiting(t, a, "while it is elsewhere", keyA)
	if a.waiting.of[time.Minute] == nil {
		t.Errorf("got the graces %v, want a minute", a.waiting.of)
	}
	b.Close(c)
}

// What another server has when this one starts waits, should that one die, as its
// export has it.
func TestGraceOfWhatIsElsewhere(t *testing.T) {
	for name, tt := range map[string]struct{ grace, wait time.Duration }{
		"in an export":                 {10, 10 * time.Second},
		"in one that has no grace now": {0, leastPause},
	} {
		t.Run(name, func(t *testing.T) {
			parent, now := t.TempDir(), newClock()
			o := dirOptions(t, now, parent)
			o.Grace = graces{"e": tt.grace}.of
			a := started(t, o)
			put(t, openAs(t, a, keyA, "e", seconds(60), blank(t, parent, testSize)), 1, 1, 0)
			b := started(t, o)
			if b.waiting.of[tt.grace*time.Second] == nil {
				t.Errorf("got the graces %v, want %v", b.waiting.of, tt.grace*time.Second)
			}
			now.pass(tt.wait)
			wantWaiting(t, b, "while it is elsewhere", keyA)
			dies(a)
			now.pass(tt.wait - 1)
			wantWaiting(t, b, "before b looks", keyA)
			now.pass(1)
			wantWaiting(t, b, "with its server found dead", keyA)
			now.pass(tt.wait)
			wantWaiting(t, b, "after its grace")
			wantLost(t, b, keyA, Expired)
		})
	}
}
