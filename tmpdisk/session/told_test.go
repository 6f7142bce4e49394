// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// scene is a server whose registry is looked at.
type scene struct {
	*testing.T
	s      *Sessions
	r      *registry
	now    *clock
	parent string // "" in memory
	disk   func() Disk
}

// use has a client of key write, and leave.
func (sc *scene) use(key Key, policy Policy) { sc.useAt(sc.r, key, policy) }

func (sc *scene) useAt(r *registry, key Key, policy Policy) {
	sc.Helper()
	c := sc.openAt(r, key, policy)
	put(sc, c, 1, 1, 0)
	r.close(c)
}

func (sc *scene) openAt(r *registry, key Key, policy Policy) *Conn {
	sc.Helper()
	c, err := r.open(context.Background(), key, "export", policy, func(context.Context) (Disk, error) { return sc.disk(), nil })
	if err != nil {
		sc.Fatal(err)
	}
	return c
}

// refused has a client of key fail.
func (sc *scene) refused(key Key, policy Policy, want error) {
	sc.Helper()
	if _, err := sc.r.open(context.Background(), key, "export", policy, none); !errors.Is(err, want) {
		sc.Errorf("got %v, want %v", err, want)
	}
}

func (sc *scene) spoil(key Key) { change(sc, sc.parent, key, func(r *record) { r.Size++ }) }

// another is a server with the same Dir.
func (sc *scene) another() *registry {
	_, r := registered(sc, dirOptions(sc, sc.now, sc.parent))
	return r
}

// The caller is told of each disk in this order, and of nothing else.
func TestTold(t *testing.T) {
	tests := []struct {
		name string
		do   func(sc *scene)
		want []string
	}{
		{"it expires", func(sc *scene) {
			sc.use(keyA, seconds(10))
			sc.now.pass(10 * time.Second)
			sc.refused(keyA, minute, unix.ESTALE)
		}, []string{"waits a", "gone a"}},
		{"it has no grace", func(sc *scene) {
			sc.use(keyA, seconds(0))
			sc.now.pass(0)
		}, []string{"waits a", "gone a"}},
		{"it is resumed", func(sc *scene) {
			sc.use(keyA, minute)
			sc.use(keyA, minute)
			sc.now.pass(time.Minute)
		}, []string{"waits a", "waits a", "gone a"}},
		{"two leave", func(sc *scene) {
			a, b := sc.openAt(sc.r, keyA, minute), sc.openAt(sc.r, keyA, minute)
			put(sc, b, 1, 1, 0)
			sc.r.close(b)
			sc.r.close(a)
		}, []string{"waits a"}},
		{"nobody used it", func(sc *scene) {
			sc.r.close(sc.openAt(sc.r, keyA, minute))
		}, nil},
		{"its disk failed", func(sc *scene) {
			c := sc.openAt(sc.r, keyA, minute)
			put(sc, c, 1, 1, 0)
			c.session.fail(unix.EIO)
			sc.r.close(c)
		}, nil},
		{"one has to go", func(sc *scene) {
			sc.use(keyA, minute)
			sc.use(keyB, minute)
			sc.s.DropOldest()
		}, []string{"waits a", "waits b", "gone a"}},
		{"too many wait", func(sc *scene) {
			sc.s.opts.Max = 1
			sc.use(keyA, minute)
			sc.use(keyB, minute)
		}, []string{"waits a", "waits b", "gone a"}},
		{"none may wait", func(sc *scene) {
			sc.s.opts.Max = 0
			sc.use(keyA, minute)
		}, []string{"waits a", "gone a"}},
		{"the server stops", func(sc *scene) {
			sc.use(keyA, minute)
			c := sc.openAt(sc.r, keyB, minute)
			put(sc, c, 1, 1, 0)
			sc.s.Stop()
			sc.r.close(c)
		}, []string{"waits a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			keepers(t, func(t *testing.T, o Options, now *clock, disk func() Disk) {
				s, r := registered(t, o)
				tt.do(&scene{t, s, r, now, o.Dir, disk})
				if !slices.Equal(r.log, tt.want) {
					t.Errorf("got %q, want %q", r.log, tt.want)
				}
			})
		})
	}
}

// A client that comes while its disk is dropped gets a fresh one, which waits after
// that: neither the registry nor the line takes it for the old one.
func TestComesDuringADrop(t *testing.T) {
	keepers(t, func(t *testing.T, o Options, now *clock, disk func() Disk) {
		var sc *scene
		var all sync.WaitGroup
		once := sync.OnceFunc(func() {
			spawn(&all, func() { sc.use(keyA, freshMinute) })
			time.Sleep(50 * time.Millisecond) // for a client that does not wait
		})
		o.Debug = func(line string) {
			if strings.Contains(line, "dropped") {
				once()
			}
		}
		s, r := registered(t, o)
		sc = &scene{t, s, r, now, o.Dir, disk}
		sc.use(keyA, minute)
		s.DropOldest()
		all.Wait()
		wantWaiting(t, s, "after it has left", keyA)
		if want := []string{"waits a", "gone a", "waits a"}; !slices.Equal(r.log, want) {
			t.Errorf("got %q, want %q", r.log, want)
		}
	})
}
