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
)

func TestStop(t *testing.T) {
	now := newClock()
	s := started(t, testOptions(t, now))
	waits, connected, late := newFake(), newFake(), newFake()
	used(t, s, keyA, waits, 1)
	b := open(t, s, keyB, fresh(connected))
	put(t, b, 2, 1, 0)
	making, stopped := make(chan struct{}), make(chan struct{})
	opened := make(chan *Conn)
	go func() {
		c, err := s.Open(context.Background(), keyC, "", minute, func(context.Context) (Disk, error) {
			close(making)
			<-stopped
			return late, nil
		})
		if err != nil {
			t.Error(err)
		}
		opened <- c
	}()
	<-making
	s.Stop()
	close(stopped)
	if !waits.closed.Load() || connected.closed.Load() {
		t.Error("got another one closed, want the disk that waits")
	}
	put(t, b, 2, 2, 0) // connected clients go on
	s.Close(b)
	if c := <-opened; c != nil {
		put(t, c, 3, 1, 0)
		s.Close(c)
	}
	if !connected.closed.Load() || !late.closed.Load() {
		t.Error("a disk outlives the server")
	}
	if _, err := s.Open(context.Background(), keyA, "", minute, none); err == nil {
		t.Error("got a session from a stopped server")
	}
	now.pass(time.Hour)
	s.Stop() // harmless
}

// strain is what clients of few sessions know of them.
type strain struct {
	t    *testing.T
	r    *registry
	keys []Key
	mu   sync.Mutex
	// written counts what was acknowledged, by key; lost that it was refused.
	written map[Key]int
	owner   map[Key]*fakeDisk
	made    []*fakeDisk
	lost    atomic.Int32
}

// client is alone on its key, under lock.
func (n *strain) client(key Key, rng *rand.Rand) {
	n.mu.Lock()
	want, was := n.written[key], n.owner[key]
	n.mu.Unlock()
	var mine *fakeDisk
	c, err := n.r.open(context.Background(), key, "", policyOf(key), func(context.Context) (Disk, error) {
		mine = newFake()
		return mine, nil
	})
	var lost *LostError
	switch {
	case errors.As(err, &lost):
		n.lost.Add(1)
		if was == nil {
			n.t.Errorf("session %s: lost, and was never used", key.Short())
		}
		return
	case err != nil:
		n.t.Error(err)
		return
	}
	defer n.r.close(c)
	n.mu.Lock()
	defer n.mu.Unlock()
	d := c.Disk().(*fakeDisk)
	for other, theirs := range n.owner {
		if other != key && theirs == d {
			n.t.Errorf("sessions %s and %s have one disk", key.Short(), other.Short())
		}
	}
	if mine != nil {
		n.made = append(n.made, d)
		if was != nil {
			n.t.Errorf("session %s: a fresh disk in place of one with %d writes", key.Short(), want)
		}
	} else if was != d {
		n.t.Errorf("session %s: another session's disk", key.Short())
	}
	n.owner[key] = d
	buf := make([]byte, blockSize)
	if err := c.PRead(buf, 0); err != nil {
		n.t.Error(err)
	}
	if _, got := unblock(buf); got != want {
		n.t.Errorf("session %s: got write %d, want %d", key.Short(), got, want)
	}
	if rng.IntN(2) == 0 {
		put(n.t, c, 0, want+1, 0)
		n.written[key] = want + 1
	}
}

// policyOf has exports wait for different times.
func policyOf(key Key) Policy { return Policy{Grace: time.Duration(5+key[0]%3*5) * time.Second} }

// Disks expire, make room and are forgotten while clients come and go; each has
// new names now and then, as after a boot.
func TestStress(t *testing.T) {
	const goroutines, rounds = 8, 2000
	now := newClock()
	o := testOptions(t, now)
	o.Max, o.Forget, o.maxLost, o.LogError = 3, 1000*time.Hour, 100_000, func(string) {}
	s, r := registered(t, o)
	n := &strain{t: t, r: r, written: map[Key]int{}, owner: map[Key]*fakeDisk{}}
	var all sync.WaitGroup
	for g := range goroutines {
		rng := rand.New(rand.NewPCG(uint64(g), 1))
		spawn(&all, func() {
			for i := range rounds {
				key := NewKey("stress", string(rune('a'+g)), string(rune(i/50)))
				switch rng.IntN(10) {
				case 0:
					now.pass(time.Second)
				case 1:
					s.DropOldest()
				default:
					n.client(key, rng)
				}
			}
		})
	}
	all.Wait()
	if n.lost.Load() == 0 {
		t.Error("nothing was ever lost: the test has found out nothing")
	}
	r.wantAgreed("when all have left")
	s.Stop()
	for _, d := range n.made {
		if !d.closed.Load() {
			t.Error("a disk outlives the server")
		}
	}
	if len(s.live) != 0 {
		t.Errorf("got %d sessions in hands at the end, want 0", len(s.live))
	}
}
