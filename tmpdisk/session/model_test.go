// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// modelBlocks is few, so that connections meet.
const modelBlocks = 8

// model knows what each connection was told is written. Connections are numbered
// in the order of their arrival.
type model struct {
	t       *testing.T
	r       *registry
	key     keep.Key
	policy  Policy
	journal *journal

	arrival sync.Mutex
	last    int

	mu     sync.Mutex
	acked  [modelBlocks]map[int]int // connection: its last write
	fenced int
}

// client connects, does something, and leaves. It is one round.
func (m *model) client(rng *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	m.arrival.Lock()
	c, err := m.r.open(ctx, m.key, "", m.policy, none)
	m.last++
	me := m.last
	m.arrival.Unlock()
	if err != nil {
		m.t.Error(err)
		return
	}
	c.disk = &watched{Disk: c.disk, journal: m.journal}
	var both sync.WaitGroup
	for half := range 2 {
		steps, seed := rng.IntN(4), rng.Uint64()
		spawn(&both, func() { m.use(c, me, half, steps, rand.New(rand.NewPCG(seed, 0))) })
	}
	both.Wait()
	m.r.close(c)
}

// use makes requests for every other block, in Go and as C does.
func (m *model) use(c *Conn, me, half, steps int, rng *rand.Rand) {
	for seq := range steps {
		at := rng.IntN(modelBlocks/2)*2 + half
		off := uint64(at * kit.BlockSize)
		if rng.IntN(2) == 0 {
			m.result(c.PRead(make([]byte, kit.BlockSize), off))
			continue
		}
		data := kit.Block(me, seq)
		word, _, write := c.Gate()
		var err error
		switch entered := word.Add(1)&write != 0; {
		case entered:
			err = c.disk.Do(disk.Request{Op: disk.Write, Buf: data, Offset: off})
			word.Add(^uint64(0))
		default:
			word.Add(^uint64(0))
			err = c.PWrite(data, off, false)
		}
		if m.result(err) {
			m.mu.Lock()
			m.acked[at][me] = seq
			m.mu.Unlock()
		}
	}
}

// result reports whether a request succeeded. It may only fail where it may be
// fenced.
func (m *model) result(err error) bool {
	if errors.Is(err, ErrFenced) && !m.policy.Share {
		m.mu.Lock()
		m.fenced++
		m.mu.Unlock()
		return false
	}
	if err != nil {
		m.t.Error(err)
	}
	return err == nil
}

// check compares the disk with what the last connection, or any if they share,
// was told.
func (m *model) check() {
	c, err := m.r.open(context.Background(), m.key, "", m.policy, none)
	if err != nil {
		m.t.Fatal(err)
	}
	defer m.r.close(c)
	for at, acked := range m.acked {
		buf := make([]byte, kit.BlockSize)
		if err := c.PRead(buf, uint64(at*kit.BlockSize)); err != nil {
			m.t.Fatal(err)
		}
		conn, seq := kit.Unblock(buf)
		last := 0
		for c := range acked {
			last = max(last, c)
		}
		if m.policy.Share {
			last = conn
		}
		if conn != last || seq != acked[last] {
			m.t.Errorf("block %d: got %d/%d, want %d/%d", at, conn, seq, last, acked[last])
		}
	}
	if m.policy.Share {
		return
	}
	wantOrder(m.t, m.journal.events())
	if m.fenced == 0 {
		m.t.Error("nobody was ever fenced: the test has found out nothing")
	}
}

// Clients come at the same time, and each many times.
func TestModel(t *testing.T) {
	const clients, rounds = 5, 10_000
	for name, shared := range map[string][]bool{
		"handover": {false}, "share": {true}, "both on one server": {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			o, _ := options(t)
			s, r := registered(t, o)
			var all sync.WaitGroup
			var models []*model
			for i, share := range shared {
				policy := Policy{Grace: time.Duration(i+1) * time.Minute, Share: share}
				m := &model{t: t, r: r, key: keys{keyA, keyB}[i], policy: policy, journal: &journal{}}
				for i := range m.acked {
					m.acked[i] = map[int]int{}
				}
				c, err := r.open(context.Background(), m.key, "", policy, blank(s))
				if err != nil {
					t.Fatal(err)
				}
				put(t, c, 0, 0, modelBlocks) // from here on it is a session
				r.close(c)
				models = append(models, m)
			}
			for i, m := range models {
				for client := range clients {
					rng := rand.New(rand.NewPCG(uint64(client), uint64(i)))
					spawn(&all, func() {
						for range rounds / clients {
							m.client(rng)
						}
					})
				}
			}
			all.Wait()
			r.wantAgreed("when all have left")
			wantClosed(t, s)
			for _, m := range models {
				m.check()
			}
		})
	}
}
