// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"os"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
)

// After a boot, only wall clocks say for how long a disk has waited, and they may have
// been set in between, or not yet. So its grace begins then, and once in each boot.
func TestGraceAfterABoot(t *testing.T) {
	for name, by := range map[string]time.Duration{
		"the clock goes on": 0, "the clock is behind": 2 * time.Minute, "the clock is a year behind": 365 * 24 * time.Hour,
		"the clock is ahead": -2 * time.Minute, "the clock was a year behind": -365 * 24 * time.Hour,
	} {
		t.Run(name, func(t *testing.T) {
			o, now := options(t)
			o.Sync = true
			s := started(t, o)
			used(t, s, keyA)
			change(t, s, func(r *record.Record) { r.Used = r.Used.Add(by) })
			dies(s)
			o.Boot = "another-boot"
			s = started(t, o)
			now.Pass(minute.Grace / 2)
			dies(s)
			s = started(t, o)
			now.Pass(minute.Grace/2 - 1)
			wantDisks(t, s, keys{keyA})
			dies(s)
			now.Pass(2)
			s = started(t, o)
			wantLost(t, s, keep.Expired, keyA)
			wantDisks(t, s, nil, keyA)
		})
	}
}

// setClock is a clock that somebody has set.
type setClock struct {
	*testkit.Clock
	by time.Duration
}

func (c setClock) Now() time.Time { return c.Clock.Now().Add(c.by) }

// Hosts whose clocks differ by more than a grace drop no disk that one of them has just
// had, and each disk in the end.
func TestClocksOfTwoHosts(t *testing.T) {
	for name, by := range map[string]time.Duration{"the other is behind": -time.Hour, "the other is ahead": time.Hour} {
		t.Run(name, func(t *testing.T) {
			o, now := options(t)
			o.Sync = true
			a := started(t, o)
			o.Boot, o.Clock = "another-host", setClock{now, by}
			b := started(t, o)
			used(t, a, keyA)
			for range 3 {
				now.Pass(minute.Grace / 2)
				wantResumed(t, b, keyA)
				now.Pass(minute.Grace/2 + time.Second)
				wantResumed(t, a, keyA)
			}
			wantResumed(t, b, keyA)
			now.Pass(minute.Grace - 1)
			wantDisks(t, a, keys{keyA})
			now.Pass(1)
			wantLost(t, a, keep.Expired, keyA)
		})
	}
}

// inNamespace is the clock of a server in a time namespace of its own.
type inNamespace struct {
	*testkit.Clock
	by time.Duration
}

func (c inNamespace) SinceBoot() time.Duration { return c.Clock.SinceBoot() + c.by }

// One boot may have several clocks since then: a disk has waited for no longer than the
// wall clock says as well.
func TestTimeNamespaces(t *testing.T) {
	for name, by := range map[string]time.Duration{"ahead": 24 * time.Hour, "behind": -24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			o, now := options(t)
			s := started(t, o)
			used(t, s, keyA)
			now.Pass(minute.Grace / 2)
			dies(s)
			o.Clock = inNamespace{now, by}
			s = started(t, o)
			now.Pass(minute.Grace - 1)
			wantDisks(t, s, keys{keyA})
			now.Pass(1)
			wantLost(t, s, keep.Expired, keyA)
		})
	}
}

// booted is the clock of a machine that was started then, and whose clock somebody has set.
type booted struct {
	*testkit.Clock
	at time.Time
	by time.Duration
}

func (c booted) Now() time.Time           { return c.Clock.Now().Add(c.by) }
func (c booted) SinceBoot() time.Duration { return c.Clock.Now().Sub(c.at) }

// A note lasts for a day, whatever the clock says: after a boot it lasts for a day from
// then, however many servers start meanwhile.
func TestNotesAndClocks(t *testing.T) {
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		boot   string
		uptime time.Duration // at the start, or before it
		by     time.Duration // the clock is ahead
	}{
		"a boot":                       {"another-boot", time.Minute, 0},
		"a boot, a day ahead":          {"another-boot", time.Minute, day + time.Hour},
		"a boot, a year ahead":         {"another-boot", time.Minute, 365 * day},
		"a boot, a day behind":         {"another-boot", time.Minute, -day},
		"set a day ahead in this boot": {"this-boot", 365 * day, day + time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			o, now := options(t)
			base := now.Now()
			o.Clock = booted{now, base.Add(-365 * day), 0}
			s := started(t, o)
			used(t, s, keyA)
			if _, ok := s.DropOldest(0); !ok {
				t.Fatal("got nothing dropped")
			}
			dies(s)
			o.Boot, o.Clock = tt.boot, booted{now, base.Add(-tt.uptime), tt.by}
			for range 3 {
				s = started(t, o)
				now.Pass(7 * time.Hour)
				wantLost(t, s, keep.Evicted, keyA)
				dies(s)
			}
			s = started(t, o)
			now.Pass(4 * time.Hour)
			wantDisks(t, s, nil)
		})
	}
}

// The record of a disk that somebody has moved away for a time is not forgotten, however
// long the disk had waited.
func TestRecordOfADiskThatIsAway(t *testing.T) {
	week := Policy{Grace: 7 * 24 * time.Hour}
	o, now := options(t)
	o.Grace = func(string) time.Duration { return week.Grace }
	s := started(t, o)
	usedAs(t, s, keyA, "export", week)
	dies(s)
	now.Pass(3 * 24 * time.Hour)
	away := o.Path + "/away"
	testkit.Must(t, os.Rename(kit.Path(o.Path, kit.DiskOf(keyA)), away))
	s = started(t, o)
	now.Pass(2 * forgetAfter)
	wantLost(t, s, keep.Damaged, keyA)
	testkit.Must(t, os.Rename(away, kit.Path(o.Path, kit.DiskOf(keyA))))
	wantResumed(t, s, keyA)
}
