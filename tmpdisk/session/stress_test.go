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

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// strain is what clients of few sessions know of them.
type strain struct {
	t *testing.T
	r *registry

	mu      sync.Mutex
	written map[keep.Key]int // what was acknowledged
	owns    map[keep.Key]int // the number of the disk, which is its block 1
	made    int              // disks
	lost    atomic.Int32     // that clients were refused
}

// make makes a disk with a number of its own, which no client has written.
func (n *strain) make(ctx context.Context) (disk.Interface, error) {
	d, err := blank(n.r.s)(ctx)
	if err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.made++
	_, err = unix.Pwrite(d.FD(), kit.Block(0, n.made), kit.BlockSize)
	return d, err
}

// client is alone on its key, under lock.
func (n *strain) client(key keep.Key, rng *rand.Rand) {
	n.mu.Lock()
	want, was := n.written[key], n.owns[key]
	n.mu.Unlock()
	fresh := false
	c, err := n.r.open(context.Background(), key, "", policyOf(key), func(ctx context.Context) (disk.Interface, error) {
		fresh = true
		return n.make(ctx)
	})
	switch {
	case errors.As(err, new(*keep.LostError)):
		n.lost.Add(1)
		if was == 0 {
			n.t.Errorf("session %s: lost, and was never used", key.Short())
		}
		return
	case err != nil:
		n.t.Error(err)
		return
	}
	defer n.r.close(c)
	buf := make([]byte, 2*kit.BlockSize)
	if err := c.PRead(buf, 0); err != nil {
		n.t.Error(err)
	}
	_, got := kit.Unblock(buf)
	_, disk := kit.Unblock(buf[kit.BlockSize:])
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case fresh && was != 0:
		n.t.Errorf("session %s: a fresh disk in place of one with %d writes", key.Short(), want)
	case !fresh && was != disk:
		n.t.Errorf("session %s: got disk %d, want %d", key.Short(), disk, was)
	case got != want:
		n.t.Errorf("session %s: got write %d, want %d", key.Short(), got, want)
	}
	n.owns[key] = disk
	if rng.IntN(2) == 0 {
		put(n.t, c, 0, want+1, 0)
		n.written[key] = want + 1
	}
}

// policyOf has exports wait for different times.
func policyOf(key keep.Key) Policy {
	return Policy{Grace: time.Duration(5+key[0]%3*5) * time.Second}
}

// Disks expire, make room and are forgotten while clients come and go; each has
// new names now and then, as after a boot.
func TestStress(t *testing.T) {
	const goroutines, rounds = 8, 2000
	o, now := options(t)
	o.Max, o.LogError = 3, func(string) {}
	s, r := registered(t, o)
	n := &strain{t: t, r: r, written: map[keep.Key]int{}, owns: map[keep.Key]int{}}
	var all sync.WaitGroup
	for g := range goroutines {
		rng := rand.New(rand.NewPCG(uint64(g), 1))
		spawn(&all, func() {
			for i := range rounds {
				key := keep.NewKey("stress", string(rune('a'+g)), string(rune(i/50)))
				switch rng.IntN(10) {
				case 0:
					now.Pass(time.Second)
				case 1:
					s.DropOldest(0)
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
	wantClosed(t, s)
	wantTidy(t, o.Path)
	for _, key := range lined(s) {
		if !kit.Exists(o.Path, kit.DiskOf(key)) {
			t.Errorf("session %s waits, and has no disk", key.Short())
		}
	}
	if len(s.live) != 0 {
		t.Errorf("got %d sessions in hands at the end, want 0", len(s.live))
	}
}
