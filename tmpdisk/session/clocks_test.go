// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
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
