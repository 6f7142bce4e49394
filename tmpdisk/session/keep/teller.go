// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package keep

import (
	"maps"
	"slices"
	"sync"
)

// A Teller tells which disks wait here: what is news, and nothing after Stop. Whoever has a
// key in hand tells of it, so that one call ends before the next begins.
type Teller struct {
	OnWaits, OnGone func(Key) // may be nil
	OnFound         func(Waiting)

	mu      sync.Mutex
	told    map[Key]bool // which are taken for waiting
	stopped bool
}

func (t *Teller) Waits(key Key) {
	if t.news(key, true) && t.OnWaits != nil {
		t.OnWaits(key)
	}
}

func (t *Teller) Found(w Waiting) {
	if t.news(w.Key, true) && t.OnFound != nil {
		t.OnFound(w)
	}
}

func (t *Teller) Gone(key Key) {
	if t.news(key, false) && t.OnGone != nil {
		t.OnGone(key)
	}
}

// Taken forgets a disk that a client has again, of which nobody is told.
func (t *Teller) Taken(key Key) { t.news(key, false) }

func (t *Teller) Stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
}

// All returns those that are taken for waiting, and Has reports whether key is.

func (t *Teller) All() []Key {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Collect(maps.Keys(t.told))
}

func (t *Teller) Has(key Key) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.told[key]
}

// news reports whether it is news that key waits, or no longer does.
func (t *Teller) news(key Key, waits bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped || t.told[key] == waits {
		return false
	}
	if t.told == nil {
		t.told = map[Key]bool{}
	}
	if t.told[key] = waits; !waits {
		delete(t.told, key)
	}
	return true
}
