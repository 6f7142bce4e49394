// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
)

// Whatever two servers do and whoever is cut off: what was acknowledged before a
// client came to the other server is there, and nothing of the old one comes later.
func TestLeaseModel(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			o, now := leasedOptions(t)
			servers := [2]*Sessions{started(t, o), started(t, o)}
			m := &leaseModel{t: t, rng: rand.New(rand.NewPCG(seed, 17)), now: now}
			for at := range m.content {
				m.content[at] = []int{0}
			}
			m.conn = begin(t, servers[0], keyA)
			m.write(m.conn)
			for range 12 {
				m.round(servers)
			}
			for i, s := range m.old {
				servers[i].Close(s)
			}
			m.check()
			servers[m.at].Close(m.conn)
		})
	}
}

type leaseModel struct {
	t   *testing.T
	rng *rand.Rand
	now *testkit.Clock
	seq int
	fua bool // in this round; such a write would look for itself who has the session
	// content is the last write that was acknowledged, and those after it that
	// failed: what a failed one leaves nobody can say, until it is read.
	content [modelBlocks][]int

	at   int // the server that has the client
	conn *Conn
	old  map[int]*Conn // of a server that was cut off, and still has its client
}

// write writes one block, which must not fail unless c was cut off.
func (m *leaseModel) write(c *Conn) {
	m.seq++
	at := m.rng.IntN(modelBlocks)
	err := c.PWrite(kit.Block(1, m.seq), uint64(at*kit.BlockSize), m.fua && m.rng.IntN(2) == 0)
	switch {
	case err == nil:
		m.content[at] = []int{m.seq}
	case c == m.conn:
		m.t.Errorf("write %d: %v", m.seq, err)
	default:
		m.content[at] = append(m.content[at], m.seq)
	}
}

func (m *leaseModel) check() {
	m.t.Helper()
	for at, may := range m.content {
		buf := make([]byte, kit.BlockSize)
		if err := m.conn.PRead(buf, uint64(at*kit.BlockSize)); err != nil {
			m.t.Fatal(err)
		}
		_, seq := kit.Unblock(buf)
		if !slices.Contains(may, seq) {
			m.t.Errorf("block %d: got write %d, want one of %v", at, seq, may)
		}
		m.content[at] = []int{seq}
	}
}

func (m *leaseModel) round(servers [2]*Sessions) {
	m.fua = m.rng.IntN(2) == 0
	for range m.rng.IntN(5) {
		m.write(m.conn)
		m.now.Pass(time.Duration(m.rng.IntN(8)) * time.Second)
	}
	other := 1 - m.at
	if c := m.old[other]; c != nil { // else it would come back to its own connection
		servers[other].Close(c)
		delete(m.old, other)
	}
	cut := m.rng.IntN(3) > 0
	if cut {
		cutOff(m.t, m.conn)
	} else {
		servers[m.at].Close(m.conn)
	}
	last := m.conn
	m.conn = nil
	o := beginOpen(servers[other])
	if cut { // else the old server could have its lock again before the new one has it
		eventually(m.t, "the other server's lock", func() bool {
			unlock, free := kit.Lock(m.t, diskPath(servers[0]))
			if free {
				unlock()
			}
			return !free
		})
	}
	c := o.wait(m.t, m.now, func() {
		if cut {
			m.write(last)
		}
	})
	m.conn, m.at = c, other
	if cut {
		m.old = map[int]*Conn{1 - other: last}
	}
	m.check()
	for range m.rng.IntN(4) {
		if cut {
			m.lateWrite(last)
		}
		m.write(m.conn)
		m.now.Pass(time.Duration(m.rng.IntN(8)) * time.Second)
	}
	m.check()
}

// lateWrite is one of a server that has been taken over from.
func (m *leaseModel) lateWrite(c *Conn) {
	if err := c.PWrite(kit.Block(9, 9), 0, false); err == nil {
		m.t.Error("a server modifies what is another's now")
	}
}
