// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"
)

// household is few servers with one Dir, or one in memory, and few clients, who do
// one thing at a time.
type household struct {
	*scene
	o       Options
	rng     *rand.Rand
	keys    []Key
	servers []*registry
	conns   []*Conn
	of      map[*Conn]*registry
	last    map[Key]*registry // whose client had it last; nil after that one died
	seen    map[string]int    // how often what happened
}

// step does anything.
func (h *household) step() {
	r, key := h.servers[h.rng.IntN(len(h.servers))], h.keys[h.rng.IntN(len(h.keys))]
	switch n := h.rng.IntN(40); {
	case n < 12:
		h.come(r, key)
	case n < 24 && len(h.conns) > 0:
		h.leave(h.rng.IntN(len(h.conns)))
	case n < 36:
		h.now.pass(time.Duration(h.rng.IntN(8)) * time.Second)
	case n < 37:
		r.s.DropOldest()
	case n < 38 && h.parent != "" && len(h.servers) == 1:
		h.spoilAny(key)
	case n < 39 && h.parent != "":
		h.restart(r)
	}
}

func (h *household) come(r *registry, key Key) {
	// One that another server has would be waited for.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if h.elsewhere(r, key) {
		cancel()
	}
	policy := Policy{Grace: time.Duration(h.rng.IntN(4)*5) * time.Second, Fresh: h.rng.IntN(2) == 0}
	c, err := r.open(ctx, key, "export", policy, func(context.Context) (Disk, error) { return h.disk(), nil })
	var lost *LostError
	switch {
	case errors.As(err, &lost):
		h.seen["lost"]++
	case err != nil && ctx.Err() == nil:
		h.Errorf("open: %v", err)
	case err == nil:
		h.conns = append(h.conns, c)
		h.of[c] = r
		h.last[key] = r
		if h.rng.IntN(4) > 0 && c.PWrite(block(1, 1), 0, false) == nil {
			h.seen["written"]++
		}
	}
}

func (h *household) leave(i int) {
	c := h.conns[i]
	h.conns = slices.Delete(h.conns, i, i+1)
	h.of[c].close(c)
	delete(h.of, c)
}

func (h *household) connected(key Key) *registry {
	for _, c := range h.conns {
		if c.Key() == key {
			return h.of[c]
		}
	}
	return nil
}

func (h *household) elsewhere(r *registry, key Key) bool {
	at := h.connected(key)
	return at != nil && at != r
}

// inDir reports whether key has a disk there.
func (h *household) inDir(key Key) bool {
	_, err := os.Stat(inParent(h.parent, diskOf(key)))
	return err == nil
}

func (h *household) spoilAny(key Key) {
	if h.connected(key) == nil && h.inDir(key) {
		h.spoil(key)
	}
}

// restart has another server in the place of one that dies, or stops.
func (h *household) restart(r *registry) {
	dies(r.s)
	h.conns = slices.DeleteFunc(h.conns, func(c *Conn) bool { return h.of[c] == r })
	for key, last := range h.last {
		if last == r {
			h.last[key] = nil
		}
	}
	i := slices.Index(h.servers, r)
	_, h.servers[i] = registered(h.T, h.o)
	var want []Key
	for _, key := range h.keys {
		if h.connected(key) == nil && h.inDir(key) {
			want = append(want, key)
		}
	}
	slices.Sort(want)
	if got := h.servers[i].waiting(); !slices.Equal(got, want) {
		h.Errorf("after a start: the registry has %v, want %v", got, want)
	}
	h.seen["found"] += len(want)
}

// check compares the registries with what is there.
func (h *household) check(when int) {
	h.Helper()
	for _, r := range h.servers {
		waiting, all := r.waiting(), lined(r.s)
		if len(h.servers) == 1 && !slices.Equal(waiting, all) {
			h.Fatalf("step %d: the registry has %v, want %v", when, waiting, all)
		}
		for _, key := range h.keys {
			waits := slices.Contains(waiting, key)
			_, space := r.s.Space(key)
			switch really := h.really(r, key); {
			case waits && !slices.Contains(all, key):
				h.Fatalf("step %d: session %s is said to wait, and nothing will ever drop it", when, key.Short())
			case waits && len(h.servers) == 1 && !really:
				h.Fatalf("step %d: session %s is said to wait, and does not", when, key.Short())
			case !waits && really && h.last[key] == r:
				h.Fatalf("step %d: session %s waits, and its server does not know", when, key.Short())
			case !waits && space, waits && really && !space:
				h.Fatalf("step %d: session %s: space %v, want %v", when, key.Short(), space, waits)
			}
		}
	}
}

// really reports whether the disk of key is there, and nobody is connected.
func (h *household) really(r *registry, key Key) bool {
	if h.parent != "" {
		return h.connected(key) == nil && h.inDir(key)
	}
	return r.s.keeper.(*memory).waiting[key] != nil
}

// A registry that goes by what it is told has what waits, at each step.
func TestToldModel(t *testing.T) {
	for name, tt := range map[string]struct {
		dir     bool
		servers int
		seen    []string
	}{
		"memory":      {false, 1, []string{"lost", "written"}},
		"dir":         {true, 1, []string{"lost", "written", "found"}},
		"dir of two":  {true, 2, []string{"lost", "written", "found"}},
		"dir of four": {true, 4, []string{"lost", "written", "found"}},
	} {
		t.Run(name, func(t *testing.T) {
			const steps = 1000
			now := newClock()
			h := &household{scene: &scene{T: t, now: now}, rng: rand.New(rand.NewPCG(1, uint64(tt.servers))),
				keys: []Key{keyA, keyB, keyC, NewKey("e", "d", "")},
				of:   map[*Conn]*registry{}, last: map[Key]*registry{}, seen: map[string]int{}}
			h.o = testOptions(t, now)
			h.disk = func() Disk { return newFake() }
			if tt.dir {
				h.parent = t.TempDir()
				h.o = dirOptions(t, now, h.parent)
				h.disk = func() Disk { return must(blank(t, h.parent, testSize)) }
			}
			h.o.Max, h.o.LogError = 3, func(string) {}
			h.o.Grace = func(string) time.Duration { return 10 * time.Second }
			for range tt.servers {
				_, r := registered(t, h.o)
				h.servers = append(h.servers, r)
			}
			for i := range steps {
				h.step()
				h.check(i)
			}
			for len(h.conns) > 0 {
				h.leave(0)
			}
			for range 10 {
				now.pass(time.Minute)
			}
			for _, r := range h.servers {
				if len(r.of) > 0 {
					t.Errorf("in the end: the registry has %v", r.of)
				}
			}
			for _, what := range tt.seen {
				if h.seen[what] == 0 {
					t.Errorf("never %s: the test has found out nothing", what)
				}
			}
			t.Log(h.seen)
		})
	}
}
