// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"os"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// With a Dir, other servers and accidents take disks too.
func TestToldOfDir(t *testing.T) {
	tests := []struct {
		name string
		do   func(sc *scene)
		want []string
	}{
		{"it is found damaged", func(sc *scene) {
			sc.use(keyA, minute)
			sc.spoil(keyA)
			sc.refused(keyA, minute, unix.ESTALE)
		}, []string{"waits a", "gone a"}},
		{"a fresh one takes its place", func(sc *scene) {
			sc.use(keyA, minute)
			sc.spoil(keyA)
			sc.use(keyA, freshMinute)
		}, []string{"waits a", "gone a", "waits a"}},
		{"its files are away", func(sc *scene) {
			sc.use(keyA, minute)
			for _, name := range []string{diskOf(keyA), recordOf(keyA)} {
				if err := os.Remove(inParent(sc.parent, name)); err != nil {
					sc.Error(err)
				}
			}
			sc.use(keyA, minute)
		}, []string{"waits a", "gone a", "waits a"}},
		{"another server has it when a client asks", func(sc *scene) {
			sc.use(keyA, minute)
			sc.openAt(sc.another(), keyA, minute)
			sc.refused(keyA, minute, unix.EBUSY)
		}, []string{"waits a", "gone a"}},
		{"another server has it when its grace is over", func(sc *scene) {
			sc.use(keyA, seconds(10))
			sc.openAt(sc.another(), keyA, minute)
			sc.now.pass(10 * time.Second)
			sc.now.pass(time.Hour)
		}, []string{"waits a", "gone a"}},
		{"another server has it when it has to go", func(sc *scene) {
			sc.use(keyA, minute)
			sc.openAt(sc.another(), keyA, minute)
			sc.s.DropOldest()
		}, []string{"waits a", "gone a"}},
		{"another server had it and did not keep it from us", func(sc *scene) {
			sc.use(keyA, seconds(10))
			sc.now.pass(time.Second)
			sc.useAt(sc.another(), keyA, minute)
			sc.now.pass(9 * time.Second)
			sc.use(keyA, minute)
		}, []string{"waits a", "waits a"}},
		{"another server gives it back", func(sc *scene) {
			sc.use(keyA, seconds(10))
			other := sc.another()
			c := sc.openAt(other, keyA, minute)
			sc.now.pass(10 * time.Second)
			sc.now.pass(59 * time.Second)
			other.close(c)
			sc.now.pass(time.Second)
			sc.now.pass(time.Minute)
		}, []string{"waits a", "gone a", "found a", "gone a"}},
		{"another server dies with it", func(sc *scene) {
			sc.use(keyA, seconds(10))
			other := sc.another()
			sc.openAt(other, keyA, minute)
			sc.now.pass(10 * time.Second)
			dies(other.s)
			sc.now.pass(time.Minute)
			sc.now.pass(time.Minute)
		}, []string{"waits a", "gone a", "found a", "gone a"}},
		{"another server has dropped it", func(sc *scene) {
			sc.use(keyA, minute)
			sc.another().s.DropOldest()
			sc.refused(keyA, minute, unix.ESTALE)
		}, []string{"waits a", "gone a"}},
		{"another server has taken over what is connected here", func(sc *scene) {
			c := sc.openAt(sc.r, keyA, minute)
			put(sc, c, 1, 1, 0)
			change(sc, sc.parent, keyA, func(r *record) { r.Generation++ })
			sc.r.close(c)
		}, nil},
		{"this server is short of descriptors", func(sc *scene) {
			sc.use(keyA, minute)
			withoutDescriptors(sc.T, func() { sc.s.DropOldest() })
			sc.use(keyA, minute)
		}, []string{"waits a", "waits a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now, parent := newClock(), t.TempDir()
			s, r := registered(t, dirOptions(t, now, parent))
			disk := func() Disk { return must(blank(t, parent, testSize)) }
			tt.do(&scene{t, s, r, now, parent, disk})
			if !slices.Equal(r.log, tt.want) {
				t.Errorf("got %q, want %q", r.log, tt.want)
			}
		})
	}
}

// A server that starts tells what waits for it before anything happens to it.
func TestFoundAtTheStart(t *testing.T) {
	for name, tt := range map[string]struct {
		max  int
		then func(sc *scene)
		want []string
	}{
		"nothing happens": {10, func(*scene) {}, []string{"found a", "found b"}},
		"they expire": {10, func(sc *scene) { sc.now.pass(time.Minute) },
			[]string{"found a", "found b", "gone a", "gone b"}},
		"one is resumed": {10, func(sc *scene) { sc.openAt(sc.r, keyA, minute) },
			[]string{"found a", "found b"}},
		"too many": {1, func(*scene) {}, []string{"found a", "found b", "gone a"}},
	} {
		t.Run(name, func(t *testing.T) {
			now, parent := newClock(), t.TempDir()
			sc := &scene{T: t, now: now, parent: parent, disk: func() Disk { return must(blank(t, parent, testSize)) }}
			dying := sc.another()
			sc.useAt(dying, keyA, minute)
			now.pass(time.Second)
			put(t, sc.openAt(dying, keyB, minute), 1, 1, 0)
			dies(dying.s)
			sc.openAt(sc.another(), keyC, minute) // one that does not wait
			o := dirOptions(t, now, parent)
			o.Max = tt.max
			sc.s, sc.r = registered(t, o)
			tt.then(sc)
			if !slices.Equal(sc.r.log, tt.want) {
				t.Errorf("got %q, want %q", sc.r.log, tt.want)
			}
		})
	}
}
