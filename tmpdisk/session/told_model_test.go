// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// household is few servers with one directory, and few clients, who do one thing at a
// time.
type household struct {
	*scene
	rng     *rand.Rand
	keys    []keep.Key
	servers []*registry
	conns   []*Conn
	of      map[*Conn]*registry
	last    map[keep.Key]*registry // whose client had it last; nil after that one died
	seen    map[string]int         // how often what happened
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
		h.now.Pass(time.Duration(h.rng.IntN(8)) * time.Second)
	case n < 37:
		r.s.DropOldest(0)
	case n < 38 && len(h.servers) == 1 && h.really(key) && kit.Exists(h.o.Path, kit.RecordOf(key)):
		h.spoil(key)
	case n < 39:
		h.restart(r)
	}
}

func (h *household) come(r *registry, key keep.Key) {
	// One that another server has would be waited for.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if at := h.connected(key); at != nil && at != r {
		cancel()
	}
	policy := Policy{Grace: time.Duration(h.rng.IntN(4)*5) * time.Second, Fresh: h.rng.IntN(2) == 0}
	c, err := r.open(ctx, key, "export", policy, blank(r.s))
	switch {
	case errors.As(err, new(*keep.LostError)):
		h.seen["lost"]++
	case err != nil && ctx.Err() == nil:
		h.Errorf("open: %v", err)
	case err == nil:
		h.conns = append(h.conns, c)
		h.of[c] = r
		h.last[key] = r
		if h.rng.IntN(4) > 0 && c.PWrite(kit.Block(1, 1), 0, false) == nil {
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

func (h *household) connected(key keep.Key) *registry {
	for _, c := range h.conns {
		if c.Key() == key {
			return h.of[c]
		}
	}
	return nil
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
	h.servers[i] = h.another()
	var want []keep.Key
	for _, key := range h.keys {
		if h.really(key) {
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
			switch really := h.really(key); {
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
func (h *household) really(key keep.Key) bool {
	return h.connected(key) == nil && kit.Exists(h.o.Path, kit.DiskOf(key))
}

// A registry that goes by what it is told has what waits, at each step.
func TestToldModel(t *testing.T) {
	for _, servers := range []int{1, 2, 4} {
		t.Run(fmt.Sprintf("%d servers", servers), func(t *testing.T) {
			const steps = 1000
			o, now := options(t)
			o.Max, o.LogError = 3, func(string) {}
			o.Grace = func(string) time.Duration { return 10 * time.Second }
			h := &household{scene: &scene{T: t, o: o, now: now}, rng: rand.New(rand.NewPCG(1, uint64(servers))),
				keys: keys{keyA, keyB, keyC, keyD},
				of:   map[*Conn]*registry{}, last: map[keep.Key]*registry{}, seen: map[string]int{}}
			for range servers {
				h.servers = append(h.servers, h.another())
			}
			for i := range steps {
				h.step()
				h.check(i)
			}
			for len(h.conns) > 0 {
				h.leave(0)
			}
			for range 10 {
				now.Pass(time.Minute)
			}
			for _, r := range h.servers {
				if len(r.of) > 0 {
					t.Errorf("in the end: the registry has %v", r.of)
				}
			}
			for _, what := range []string{"lost", "written", "found"} {
				if h.seen[what] == 0 {
					t.Errorf("never %s: the test has found out nothing", what)
				}
			}
			t.Log(h.seen)
		})
	}
}

// hustle is many clients of few sessions, on servers that share a directory.
type hustle struct {
	*scene
	servers []*registry
	taken   atomic.Int32 // connections that came in
	refused atomic.Int32
}

func (h *hustle) client(rng *rand.Rand, key keep.Key) {
	r := h.servers[rng.IntN(len(h.servers))]
	switch rng.IntN(20) {
	case 0:
		h.now.Pass(time.Second)
		return
	case 1:
		r.s.DropOldest(0)
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	policy := Policy{Grace: time.Duration(rng.IntN(3)*5) * time.Second, Share: rng.IntN(2) == 0}
	c, err := r.open(ctx, key, "export", policy, blank(r.s))
	switch {
	case err == nil:
		h.taken.Add(1)
	case errors.As(err, new(*keep.LostError)), errors.Is(err, unix.EBUSY), ctx.Err() != nil:
		h.refused.Add(1)
		return
	default:
		h.Errorf("open: %v", err)
		return
	}
	if rng.IntN(4) > 0 {
		if err := c.PWrite(kit.Block(1, 1), 0, false); err != nil && (!errors.Is(err, ErrFenced) || !c.Fenced()) {
			h.Errorf("write: got %v, fenced %v, want ErrFenced", err, c.Fenced())
		}
	}
	r.s.Space(key)
	r.close(c)
}

// Whoever comes when and where, registries that go by what they are told know what
// waits, and in the end that nothing does.
func TestToldStress(t *testing.T) {
	const goroutines, rounds = 8, 250
	for name, count := range map[string]int{"one server": 1, "two servers": 2} {
		t.Run(name, func(t *testing.T) {
			o, now := options(t)
			o.Max, o.LogError = 3, func(string) {}
			h := &hustle{scene: &scene{T: t, o: o, now: now}}
			for range count {
				h.servers = append(h.servers, h.another())
			}
			var all sync.WaitGroup
			for g := range goroutines {
				rng := rand.New(rand.NewPCG(uint64(g), uint64(count)))
				spawn(&all, func() {
					for i := range rounds {
						h.client(rng, keep.NewKey("hustle", string(rune('a'+rng.IntN(4))), string(rune(i/8))))
					}
				})
			}
			all.Wait()
			if count == 1 {
				h.servers[0].wantAgreed("when all have left")
			}
			for range 10 {
				now.Pass(time.Minute)
			}
			for _, r := range h.servers {
				if len(r.of) > 0 {
					t.Errorf("in the end: the registry has %v", r.of)
				}
				r.wantAgreed("in the end")
			}
			t.Logf("%d came in, %d were refused", h.taken.Load(), h.refused.Load())
			if h.taken.Load() == 0 || h.refused.Load() == 0 {
				t.Error("nobody came in, or everybody: the test has found out nothing")
			}
		})
	}
}
