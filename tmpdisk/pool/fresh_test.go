// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package pool

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

func TestPoolStaleOnShelf(t *testing.T) {
	tests := []struct {
		name  string
		stale []bool // the shelf, oldest first
		want  int64  // the disk that the client gets; 0 if none is left
	}{
		{"none", []bool{false, false, false}, 3},
		{"the newest", []bool{false, false, true}, 2},
		{"all but the oldest", []bool{false, true, true}, 1},
		{"all", []bool{true, true, true}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newPoolBench(t, Options[*fakeDisk]{Spares: 3, Jobs: NewJobs(1), Fresh: isFresh})
			b.Start()
			var disks []*fakeDisk
			for i := range tt.stale {
				disks = append(disks, b.next().ok(int64(i+1)))
			}
			b.idle(3)
			for i, stale := range tt.stale {
				disks[i].stale.Store(stale)
			}
			c, want, made := b.join(), tt.want, int64(4)
			if want == 0 {
				b.next().ok(made)
				want, made = made, made+1
			}
			c.wants(want)
			b.clock.Pass(breath)
			left := max(0, int(tt.want)-1)
			for range 3 - left {
				b.next().ok(made)
				made++
			}
			b.idle(3) // the shelf is full again
			for i, d := range disks {
				want := int32(0)
				if tt.stale[i] {
					want = 1
				}
				if n := d.closed.Load(); n != want {
					t.Errorf("disk %d: closed %d times, want %d", d.id, n, want)
				}
			}
		})
	}
}

func TestPoolStaleReturned(t *testing.T) {
	b := newPoolBench(t, Options[*fakeDisk]{Jobs: NewJobs(1), Fresh: isFresh})
	probe := b.join()
	b.next().ok(1)
	disk := probe.wants(1)
	c := b.join()
	disk.stale.Store(true)
	b.Put(disk)
	if n := disk.closed.Load(); n != 1 {
		t.Errorf("closed %d times, want 1", n)
	}
	b.counts(1, 1) // the client that waits does not get it
	b.next().ok(2)
	c.wants(2)
	b.idle(0)
}

// A maker may have been at work when what decides the content changed.
func TestPoolStaleBegunBeforeClientCame(t *testing.T) {
	for _, c := range []struct {
		name       string
		began      time.Duration // before the client came
		wantServed int64
	}{
		{"begun before the client came", time.Second, 2},
		{"begun for the client", 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newPoolBench(t, Options[*fakeDisk]{Spares: 1, Jobs: NewJobs(1), Fresh: isFresh})
			b.Start()
			m := b.next()
			b.clock.Pass(c.began)
			client := b.join()
			stale := &fakeDisk{id: 1}
			stale.stale.Store(true)
			m.end <- outcome[*fakeDisk]{disk: stale}
			b.next().ok(2)
			client.wants(c.wantServed)
			if got, want := stale.closed.Load() == 1, c.wantServed != 1; got != want {
				t.Errorf("stale disk closed: got %v, want %v", got, want)
			}
		})
	}
}

func TestPoolAsksFreshWithoutLock(t *testing.T) {
	var b *poolBench
	var asked atomic.Int32
	b = newPoolBench(t, Options[*fakeDisk]{Spares: 1, Jobs: NewJobs(1), Fresh: func(*fakeDisk) bool {
		asked.Add(1)
		if !b.Pool.mu.TryLock() {
			t.Error("asked with the lock held")
			return true
		}
		b.Pool.mu.Unlock()
		return true
	}})
	c := b.join()
	b.next().ok(1)
	disk := c.wants(1)
	b.Start()
	b.next() // of a spare disk, until this one comes back
	for i, step := range []struct {
		what string
		do   func()
	}{
		{"a disk that was just made", func() {}},
		{"put", func() { b.Put(disk) }},
		{"taken off the shelf", func() { b.Get(context.Background()) }},
	} {
		step.do()
		if n := int(asked.Load()); n != i {
			t.Errorf("%s: asked %d times so far, want %d", step.what, n, i)
		}
	}
	b.Put(disk)
}
