// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package pool

import (
	"runtime"
	"slices"
	"testing"
	"time"
)

// newSharedJobs returns n slots that must all be free when the test ends. Pools
// that share them must be made after it, so that they are stopped before.
func newSharedJobs(t *testing.T, n int) *Jobs {
	j := NewJobs(n)
	t.Cleanup(func() {
		j.mu.Lock()
		defer j.mu.Unlock()
		if j.free != n || len(j.line) != 0 {
			t.Errorf("at the end: got %d of %d slots free and %d in line, want all and none", j.free, n, len(j.line))
		}
	})
	return j
}

// wants are what those in line want a slot for, in order of arrival.
func (j *Jobs) wants() (ws []want) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, s := range j.line {
		ws = append(ws, s.want)
	}
	return ws
}

// hold takes a free slot, which done gives back.
func (j *Jobs) hold(t *testing.T) (done func()) {
	t.Helper()
	s := &seat{}
	if ok, _ := j.take(s, forClient); !ok {
		t.Fatal("no slot is free")
	}
	return func() { j.giveBack(s)() }
}

// eventually waits for what other goroutines are about to do.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); runtime.Gosched() {
		if f() {
			return
		}
	}
	t.Fatalf("never came true: %s", what)
}

// nextOf is the next run of a maker of any of the pools, and whose it is.
func nextOf(t *testing.T, benches []*poolBench) (whose int, m *fakeMake) {
	t.Helper()
	eventually(t, "a maker is started", func() bool {
		whose = slices.IndexFunc(benches, func(b *poolBench) bool { return len(b.makes) > 0 })
		return whose >= 0
	})
	return whose, benches[whose].next()
}
