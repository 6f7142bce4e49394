// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package order

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// Waiters are found as a look at all would find them; those with one time, in the order
// of their arrival.
func TestWaiters(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	l, now := NewWaiters(), time.Unix(1e9, 0)
	var all []Waiter
	first := func(at func(Waiter) time.Time) (key keep.Key, first time.Time, ok bool) {
		for _, w := range all {
			if !ok || at(w).Before(first) {
				key, first, ok = w.Key, at(w), true
			}
		}
		return key, first, ok
	}
	for step := range 20_000 {
		key := keep.Key(rune('a' + rng.IntN(26)))
		i := slices.IndexFunc(all, func(w Waiter) bool { return w.Key == key })
		was := slices.Clone(all)
		all = slices.DeleteFunc(all, func(w Waiter) bool { return w.Key == key })
		if rng.IntN(3) == 0 {
			if w, ok := l.Take(key); ok != (i >= 0) || ok && w != was[i] {
				t.Fatalf("step %d: take: got %v, %v, of %v", step, w, ok, was)
			}
		} else { // wherever it was before
			w := Waiter{Key: key, Since: now, Until: now.Add(time.Duration(rng.IntN(6)) * 10 * time.Second)}
			l.Push(w)
			all = append(all, w)
		}
		now = now.Add(time.Duration(rng.IntN(3)) * time.Second)
		for what, tt := range map[string]struct {
			q  *Queue
			at func(Waiter) time.Time
		}{
			"age": {l.ByAge, func(w Waiter) time.Time { return w.Since }},
			"end": {l.ByEnd, func(w Waiter) time.Time { return w.Until }},
		} {
			wantKey, wantTime, wantOK := first(tt.at)
			if key, at, ok := tt.q.First(); key != wantKey || !at.Equal(wantTime) || ok != wantOK || tt.q.Len() != len(all) || tt.q.Has(key) != ok {
				t.Fatalf("step %d: by %s: got %v, %v, %v of %d, want %v, %v, %v of %d", step, what, key, at, ok, tt.q.Len(), wantKey, wantTime, wantOK, len(all))
			}
		}
	}
}
