// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package clients

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func enter(t *testing.T, c *Clients, owner string, l Limits) *Slot {
	t.Helper()
	s, err := c.Enter(owner, l)
	testkit.Must(t, err)
	return s
}

func TestEnter(t *testing.T) {
	const me, other = "address 192.0.2.7", "user 1000"
	for _, tc := range []struct {
		name   string
		disks  int
		others []string // that have disks already
		want   string   // in the error
	}{
		{"the first", 1, nil, ""},
		{"others do not count", 1, []string{other, other}, ""},
		{"one more than one", 1, []string{me}, "has 1 of client-disks=1"},
		{"the last", 3, []string{me, me}, ""},
		{"one too many", 2, []string{me, other, me}, "has 2 of client-disks=2"},
		{"the limit was higher", 1, []string{me, me, me}, "has 3 of client-disks=1"},
		{"no limit", 0, []string{me, me, me}, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := New()
			for _, o := range tc.others {
				enter(t, c, o, Limits{})
			}
			s, err := c.Enter(me, Limits{Disks: tc.disks})
			if tc.want == "" {
				if err != nil || s.Owner() != me {
					t.Fatalf("got %v, %v, want a slot of %s", s, err, me)
				}
				return
			}
			if !errors.Is(err, ErrTooMany) || !errors.Is(err, unix.EBUSY) {
				t.Fatalf("got %v, want ErrTooMany, EBUSY", err)
			}
			if got := err.Error(); !strings.Contains(got, tc.want) || !strings.Contains(got, me) {
				t.Errorf("got %q, want %q and the owner", got, tc.want)
			}
		})
	}
}

func TestLeave(t *testing.T) {
	c := New()
	l := Limits{Disks: 2}
	first, second := enter(t, c, "a", l), enter(t, c, "a", l)
	first.Leave()
	first.Leave()
	third := enter(t, c, "a", l)
	if _, err := c.Enter("a", l); !errors.Is(err, ErrTooMany) {
		t.Errorf("leaving twice: got %v, want ErrTooMany", err)
	}
	second.Leave()
	third.Leave()
	if got := len(c.owners); got != 0 {
		t.Errorf("got %d owners, want none", got)
	}
}

// Whoever owes is kept while it does, and not much longer if others come and go.
func TestForgets(t *testing.T) {
	clock := testkit.NewClock()
	c := newClients(clock)
	l := Limits{Rate: 1000}
	visit := func(owner string, n uint64) {
		m := c.Meter(owner, l)
		testkit.Must(t, m.Wait(n, nil))
		m.Close()
	}
	const owes = 2 * time.Second
	most := 0
	for i := range 100_000 {
		visit(fmt.Sprint(i), 2000)
		clock.Pass(time.Millisecond)
		most = max(most, len(c.owners))
	}
	if want := 3 * int(owes/time.Millisecond); most > want {
		t.Errorf("got %d owners at a time, want at most %d", most, want)
	}
	if want := int(owes / time.Millisecond); len(c.owners) < want {
		t.Errorf("got %d owners, want the %d that owe", len(c.owners), want)
	}
	// One that comes back is the same, and outlives its place among the owing.
	back := c.Meter("99999", l)
	clock.Pass(owes)
	for range 2 * len(c.owing) {
		visit("passer-by", 0)
	}
	if got := len(c.owners); got != 1 || c.owners["99999"] != back.owner || len(c.owing) != 0 {
		t.Errorf("got %d owners, %d owing, want only the one that is back", got, len(c.owing))
	}
	for range 3 { // however often it comes
		testkit.Must(t, back.Wait(2000, gone))
		back.Close()
		back.Close()
		if got := len(c.owing); got != 1 {
			t.Errorf("got %d owing, want 1", got)
		}
		clock.Pass(owes)
		back = c.Meter("99999", l)
	}
	back.Close()
	visit("passer-by", 0)
	if got := len(c.owners); got != 0 {
		t.Errorf("got %d owners, want none", got)
	}
}
