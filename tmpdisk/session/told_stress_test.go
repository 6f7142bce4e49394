// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hustle is many clients of few sessions, on servers that share a Dir.
type hustle struct {
	*testing.T
	now     *clock
	parent  string
	servers []*registry
	taken   atomic.Int32 // connections that came in
	refused atomic.Int32
}

func (h *hustle) client(rng *rand.Rand, key Key) {
	r := h.servers[rng.IntN(len(h.servers))]
	switch rng.IntN(20) {
	case 0:
		h.now.pass(time.Second)
		return
	case 1:
		r.s.DropOldest()
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	policy := Policy{Grace: time.Duration(rng.IntN(3)*5) * time.Second, Conflict: Conflict(rng.IntN(3))}
	c, err := r.open(ctx, key, "export", policy, blank(h, h.parent, testSize))
	switch {
	case err == nil:
		h.taken.Add(1)
	case errors.As(err, new(*LostError)), errors.Is(err, unix.EBUSY), ctx.Err() != nil:
		h.refused.Add(1)
		return
	default:
		h.Errorf("open: %v", err)
		return
	}
	if rng.IntN(4) > 0 {
		if err := c.PWrite(block(1, 1), 0, false); err != nil && (!errors.Is(err, ErrFenced) || !c.Fenced()) {
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
			h := &hustle{T: t, now: newClock(), parent: t.TempDir()}
			o := dirOptions(t, h.now, h.parent)
			o.Max, o.Forget, o.LogError = 3, 1000*time.Hour, func(string) {}
			for range count {
				_, r := registered(t, o)
				h.servers = append(h.servers, r)
			}
			var all sync.WaitGroup
			for g := range goroutines {
				rng := rand.New(rand.NewPCG(uint64(g), uint64(count)))
				spawn(&all, func() {
					for i := range rounds {
						h.client(rng, NewKey("hustle", string(rune('a'+rng.IntN(4))), string(rune(i/8))))
					}
				})
			}
			all.Wait()
			if count == 1 {
				h.servers[0].wantAgreed("when all have left")
			}
			for range 10 {
				h.now.pass(time.Minute)
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
