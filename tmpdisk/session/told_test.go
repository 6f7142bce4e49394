// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
)

// scene is a server whose registry is looked at.
type scene struct {
	*testing.T
	o   Options
	s   *Sessions
	r   *registry
	now *testkit.Clock
}

// use has a client of key write, and leave.
func (sc *scene) use(key keep.Key, policy Policy) { sc.useAt(sc.r, key, policy) }

func (sc *scene) useAt(r *registry, key keep.Key, policy Policy) {
	sc.Helper()
	c := sc.openAt(r, key, policy)
	put(sc, c, 1, 1, 0)
	r.close(c)
}

func (sc *scene) openAt(r *registry, key keep.Key, policy Policy) *Conn {
	sc.Helper()
	c, err := r.open(context.Background(), key, "export", policy, blank(r.s))
	if err != nil {
		sc.Fatal(err)
	}
	return c
}

// refused has a client of key fail.
func (sc *scene) refused(key keep.Key, policy Policy, want error) {
	sc.Helper()
	if _, err := sc.r.open(context.Background(), key, "export", policy, none); !errors.Is(err, want) {
		sc.Errorf("got %v, want %v", err, want)
	}
}

func (sc *scene) spoil(key keep.Key) {
	kit.Change(sc, sc.o.Path, key, func(r *record.Record) { r.Size++ })
}

// another is a server with the same directory.
func (sc *scene) another() *registry {
	_, r := registered(sc, sc.o)
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
			sc.now.Pass(10 * time.Second)
			sc.refused(keyA, minute, unix.ESTALE)
		}, []string{"waits a", "gone a"}},
		{"it has no grace", func(sc *scene) {
			sc.use(keyA, seconds(0))
			sc.now.Pass(0)
		}, []string{"waits a", "gone a"}},
		{"it is resumed", func(sc *scene) {
			sc.use(keyA, minute)
			sc.use(keyA, minute)
			sc.now.Pass(time.Minute)
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
			sc.s.DropOldest(0)
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

		// Other servers and accidents take disks too.
		{"it is found damaged", func(sc *scene) {
			sc.use(keyA, minute)
			sc.spoil(keyA)
			sc.refused(keyA, minute, unix.ESTALE)
			sc.r.log = append(sc.r.log, "and then")
			sc.now.Pass(time.Minute)
			sc.refused(keyA, minute, unix.ESTALE)
		}, []string{"waits a", "and then", "gone a"}},
		{"a fresh one takes its place", func(sc *scene) {
			sc.use(keyA, minute)
			sc.spoil(keyA)
			sc.use(keyA, freshMinute)
		}, []string{"waits a", "gone a", "waits a"}},
		{"its files are away", func(sc *scene) {
			sc.use(keyA, minute)
			if err := os.RemoveAll(kit.Path(sc.o.Path, "")); err != nil {
				sc.Error(err)
			}
			sc.refused(keyA, minute, unix.ESTALE)
			sc.use(keyA, freshMinute)
		}, []string{"waits a", "gone a", "waits a"}},
		{"another server has it when a client asks", func(sc *scene) {
			sc.use(keyA, minute)
			sc.openAt(sc.another(), keyA, minute)
			sc.refused(keyA, minute, unix.EBUSY)
		}, []string{"waits a", "gone a"}},
		{"another server has it when its grace is over", func(sc *scene) {
			sc.use(keyA, seconds(10))
			sc.openAt(sc.another(), keyA, minute)
			sc.now.Pass(10 * time.Second)
			sc.now.Pass(time.Hour)
		}, []string{"waits a", "gone a"}},
		{"another server has it when it has to go", func(sc *scene) {
			sc.use(keyA, minute)
			sc.openAt(sc.another(), keyA, minute)
			sc.s.DropOldest(0)
		}, []string{"waits a", "gone a"}},
		{"another server had it and did not keep it from us", func(sc *scene) {
			sc.use(keyA, seconds(10))
			sc.now.Pass(time.Second)
			sc.useAt(sc.another(), keyA, minute)
			sc.now.Pass(9 * time.Second)
			sc.use(keyA, minute)
		}, []string{"waits a", "waits a"}},
		{"another server gives it back", func(sc *scene) {
			sc.use(keyA, seconds(10))
			other := sc.another()
			c := sc.openAt(other, keyA, minute)
			sc.now.Pass(10 * time.Second)
			sc.now.Pass(9 * time.Second)
			other.close(c)
			sc.now.Pass(time.Second)
			sc.now.Pass(time.Minute)
		}, []string{"waits a", "gone a", "found a", "gone a"}},
		{"another server dies with it", func(sc *scene) {
			sc.use(keyA, seconds(10))
			other := sc.another()
			sc.openAt(other, keyA, minute)
			sc.now.Pass(10 * time.Second)
			dies(other.s)
			sc.now.Pass(10 * time.Second)
			sc.now.Pass(time.Minute)
		}, []string{"waits a", "gone a", "found a", "gone a"}},
		{"another server has dropped it", func(sc *scene) {
			sc.use(keyA, minute)
			sc.another().s.DropOldest(0)
			sc.refused(keyA, minute, unix.ESTALE)
		}, []string{"waits a", "gone a"}},
		{"another server has taken over what is connected here", func(sc *scene) {
			c := sc.openAt(sc.r, keyA, minute)
			put(sc, c, 1, 1, 0)
			overtake(sc, sc.s)
			sc.r.close(c)
		}, nil},
		{"this server is short of descriptors", func(sc *scene) {
			sc.use(keyA, minute)
			withoutDescriptors(sc.T, func() { sc.s.DropOldest(0) })
			sc.use(keyA, minute)
		}, []string{"waits a", "waits a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, now := options(t)
			s, r := registered(t, o)
			tt.do(&scene{t, o, s, r, now})
			if !slices.Equal(r.log, tt.want) {
				t.Errorf("got %q, want %q", r.log, tt.want)
			}
		})
	}
}

// A client that comes while its disk is dropped gets a fresh one, which waits after
// that: neither the registry nor the line takes it for the old one.
func TestComesDuringADrop(t *testing.T) {
	o, now := options(t)
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
	sc = &scene{t, o, s, r, now}
	sc.use(keyA, minute)
	s.DropOldest(0)
	all.Wait()
	wantWaiting(t, s, "after it has left", keyA)
	if want := []string{"waits a", "gone a", "waits a"}; !slices.Equal(r.log, want) {
		t.Errorf("got %q, want %q", r.log, want)
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
		"they expire": {10, func(sc *scene) { sc.now.Pass(time.Minute) },
			[]string{"found a", "found b", "gone a", "gone b"}},
		"one is resumed": {10, func(sc *scene) { sc.openAt(sc.r, keyA, minute) },
			[]string{"found a", "found b"}},
		"too many": {1, func(*scene) {}, []string{"found a", "found b", "gone a"}},
	} {
		t.Run(name, func(t *testing.T) {
			o, now := options(t)
			sc := &scene{T: t, o: o, now: now}
			dying := sc.another()
			sc.useAt(dying, keyA, minute)
			now.Pass(time.Second)
			put(t, sc.openAt(dying, keyB, minute), 1, 1, 0)
			dies(dying.s)
			sc.openAt(sc.another(), keyC, minute) // one that does not wait
			o.Max = tt.max
			sc.s, sc.r = registered(t, o)
			tt.then(sc)
			if !slices.Equal(sc.r.log, tt.want) {
				t.Errorf("got %q, want %q", sc.r.log, tt.want)
			}
		})
	}
}
