// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// naiveFirst looks at all that wait, who are in the order of their arrival.
func naiveFirst(all []waiter, before order, idle func(Key) bool) (first waiter, ok bool) {
	for _, w := range all {
		if idle(w.key) && (!ok || before(w, first)) {
			first, ok = w, true
		}
	}
	return first, ok
}

// Lines find whom a look at all would find.
func TestLines(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	l, now := newLines(), time.Unix(1e9, 0)
	var all []waiter
	used := map[time.Duration]bool{}
	for step := range 20_000 {
		key := Key(rune('a' + rng.IntN(26)))
		all = slices.DeleteFunc(all, func(w waiter) bool { return w.key == key })
		if rng.IntN(3) == 0 {
			l.remove(key)
		} else {
			grace := time.Duration(rng.IntN(6)) * 10 * time.Second
			l.push(key, now, grace)
			all = append(all, waiter{entry{key, now}, grace, l.last})
		}
		now = now.Add(time.Duration(rng.IntN(3)) * time.Second)

		taken := rng.Uint32() & rng.Uint32()
		idle := func(key Key) bool { return taken>>(key[0]-'a')&1 == 0 }
		want, wantOK := naiveFirst(all, came, idle)
		if got, ok := l.first(came, idle); got != want || ok != wantOK {
			t.Fatalf("step %d: first came: got %v, %v, want %v, %v", step, got, ok, want, wantOK)
		}
		want, _ = naiveFirst(all, expires, idle)
		got, ok := l.first(expires, idle) // which of those that expire together matters to nobody
		if !got.until().Equal(want.until()) || ok != wantOK || ok && !idle(got.key) {
			t.Fatalf("step %d: first expires: got %v, %v, want %v, %v", step, got, ok, want, wantOK)
		}
		clear(used)
		for _, w := range all {
			used[w.grace] = true
		}
		if l.len() != len(all) || len(l.of) != len(used) {
			t.Fatalf("step %d: got %d in %d lines, want %d in %d", step, l.len(), len(l.of), len(all), len(used))
		}
	}
}
