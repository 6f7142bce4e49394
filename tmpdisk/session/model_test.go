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

	"golang.org/x/sys/unix"
)

// modelBlocks is few, so that connections meet.
const modelBlocks = 8

// model knows what each connection was told is written. Connections are numbered
// in the order of their arrival.
type model struct {
	t      *testing.T
	r      *registry
	key    Key
	policy Policy
	disk   *fakeDisk

	arrival sync.Mutex
	last    int

	mu     sync.Mutex
	acked  [modelBlocks]map[int]int // connection: its last write
	fenced int
}

// client connects, does something, and leaves. It is one round.
func (m *model) client(rng *rand.Rand) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	m.arrival.Lock()
	c, err := m.r.open(ctx, m.key, "", m.policy, fresh(m.disk))
	m.last++
	me := m.last
	m.arrival.Unlock()
	if errors.Is(err, unix.EBUSY) && m.policy.Conflict == Refuse {
		return
	}
	if err != nil {
		m.t.Error(err)
		return
	}
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
		off := uint64(at * blockSize)
		if rng.IntN(2) == 0 {
			m.result(c.PRead(make([]byte, blockSize), off))
			continue
		}
		data := block(me, seq)
		word, _, write := c.Gate()
		var err error
		switch entered := word.Add(1)&write != 0; {
		case entered:
			err = m.disk.write(data, off)
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
	if errors.Is(err, ErrFenced) && m.policy.Conflict == Handover {
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
	for at, acked := range m.acked {
		conn, seq := unblock(m.disk.content[at*blockSize:])
		last := 0
		for c := range acked {
			last = max(last, c)
		}
		if m.policy.Conflict == Share {
			last = conn
		}
		if conn != last || seq != acked[last] {
			m.t.Errorf("block %d: got %d/%d, want %d/%d", at, conn, seq, last, acked[last])
		}
	}
	if m.policy.Conflict != Share {
		wantOrder(m.t, m.disk.events())
	}
	if m.policy.Conflict == Handover && m.fenced == 0 {
		m.t.Error("nobody was ever fenced: the test has found out nothing")
	}
}

func (m *model) begin() {
	for i := range m.acked {
		m.acked[i] = map[int]int{}
	}
	first, err := m.r.open(context.Background(), m.key, "", m.policy, fresh(m.disk))
	if err != nil {
		m.t.Fatal(err)
	}
	put(m.t, first, 0, 0, modelBlocks) // from here on it is a session
	m.r.close(first)
}

// run has clients come at the same time, and each many times.
func (m *model) run(all *sync.WaitGroup) {
	const clients, rounds = 5, 10_000
	for i := range clients {
		rng := rand.New(rand.NewPCG(uint64(i), uint64(m.policy.Conflict)))
		spawn(all, func() {
			for range rounds / clients {
				m.client(rng)
			}
		})
	}
}

func TestModel(t *testing.T) {
	for name, conflicts := range map[string][]Conflict{
		"handover": {Handover}, "refuse": {Refuse}, "share": {Share},
		"all on one server": {Handover, Refuse, Share},
	} {
		t.Run(name, func(t *testing.T) {
			s, r := registered(t, testOptions(t, nil))
			var all sync.WaitGroup
			var models []*model
			for i, conflict := range conflicts {
				policy := Policy{Grace: time.Duration(i+1) * time.Minute, Conflict: conflict}
				m := &model{t: t, r: r, key: []Key{keyA, keyB, keyC}[i], policy: policy, disk: newFake()}
				m.begin()
				models = append(models, m)
			}
			for _, m := range models {
				m.run(&all)
			}
			all.Wait()
			r.wantAgreed("when all have left")
			s.Stop()
			for _, m := range models {
				m.check()
				if !m.disk.closed.Load() {
					t.Error("the disk was not closed at the end")
				}
			}
		})
	}
}
