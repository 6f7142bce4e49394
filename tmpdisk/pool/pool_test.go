// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestPoolFIFO(t *testing.T) {
	b := newPoolBench(t, Options[*fakeDisk]{Jobs: NewJobs(3)})
	clients := []*client{b.join(), b.join(), b.join()}
	makes := []*fakeMake{b.next(), b.next(), b.next()}
	// The makers finish in the opposite order of their start.
	for i, m := range []*fakeMake{makes[2], makes[1], makes[0]} {
		m.ok(int64(i))
		clients[i].wants(int64(i))
	}
	b.idle(0)
}

func TestPoolSparesAreReady(t *testing.T) {
	b := newPoolBench(t, Options[*fakeDisk]{Spares: 2, Jobs: NewJobs(1)})
	b.Start()
	b.next().ok(1)
	b.next().ok(2)
	b.idle(2)
	b.join().wants(2)
	b.counts(0, 0) // not in the way of who has just taken it
	b.join().wants(1)
	b.clock.Pass(breath)
	b.next().ok(3)
	b.next().ok(4)
	b.idle(2)
}

func TestPoolClientsBeforeSpares(t *testing.T) {
	b := newPoolBench(t, Options[*fakeDisk]{Spares: 1, Jobs: NewJobs(1)})
	b.Start()
	spare := b.next()
	c := b.join()
	b.counts(1, 1)
	spare.ok(1)
	c.wants(1)
	b.next().ok(2)
	b.idle(1)
}

func TestPoolCancelWhileWaiting(t *testing.T) {
	tests := []struct {
		name         string
		spares, jobs int
		others       int // clients that wait behind the one that leaves
		cancelled    bool
	}{
		{"nobody else wants it", 0, 2, 0, true},
		{"the next client wants it", 0, 1, 1, false},
		{"the next client has its own", 0, 2, 1, true},
		{"the shelf wants it", 1, 1, 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newPoolBench(t, Options[*fakeDisk]{Spares: tt.spares, Jobs: NewJobs(tt.jobs)})
			leaver := b.join()
			m := b.next()
			for range tt.others {
				b.join()
			}
			b.Start()
			leaver.cancel()
			if o := leaver.outcome(); !errors.Is(o.err, context.Canceled) {
				t.Fatalf("got %+v, want context.Canceled", o)
			}
			if got := m.ctx.Err() != nil; got != tt.cancelled {
				t.Errorf("its maker cancelled: got %v, want %v", got, tt.cancelled)
			}
			if tt.cancelled {
				b.until("its maker is gone", func() bool { return b.running() == tt.others })
			}
			if l, p := b.logged(), b.clock.Timers(); len(l)+len(p) != 0 {
				t.Errorf("got log %q and pauses %v, want nothing: this is no failure", l, p)
			}
		})
	}
}

func TestPoolCancelledBeforeItCame(t *testing.T) {
	b := newPoolBench(t, Options[*fakeDisk]{Jobs: NewJobs(1)})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := b.Get(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
	b.counts(0, 0)
}

func TestPoolUntouchedComesBack(t *testing.T) {
	b := newPoolBench(t, Options[*fakeDisk]{Spares: 1, Jobs: NewJobs(2)})
	b.Start()
	b.next().ok(1)
	b.idle(1)
	for range 3 { // probes, which cost no run of the maker
		b.Put(b.join().wants(1))
		b.idle(1)
	}
	b.clock.Pass(breath)
	b.counts(0, 0)
	// A replacement that has been begun is needed no more.
	disk := b.join().wants(1)
	b.clock.Pass(breath)
	m := b.next()
	b.Put(disk)
	if got := context.Cause(m.ctx); got != ErrUnwanted {
		t.Errorf("replacement: got %v, want %v", got, ErrUnwanted)
	}
	b.idle(1)
	// What comes back when enough are ready is dropped.
	disk = b.join().wants(1)
	b.clock.Pass(breath)
	b.next().ok(2)
	b.idle(1)
	b.Put(disk)
	b.idle(1)
	if n := disk.closed.Load(); n != 1 {
		t.Errorf("disk that nobody needs: closed %d times, want 1", n)
	}
}

func TestPoolUntouchedGoesToWhoWaits(t *testing.T) {
	b := newPoolBench(t, Options[*fakeDisk]{Jobs: NewJobs(1)})
	probe := b.join()
	b.next().ok(1)
	disk := probe.wants(1)
	c := b.join()
	own := b.next()
	b.Put(disk)
	c.wants(1)
	<-own.ctx.Done() // it runs for nobody now, and may be one that hangs
	b.idle(0)
	b.Put(disk)
	b.idle(0)
	if n := disk.closed.Load(); n != 1 {
		t.Errorf("without spares: closed %d times, want 1", n)
	}
}

func TestPoolTouchedNeverReused(t *testing.T) {
	var ids atomic.Int64
	p := newPool(Options[*fakeDisk]{Spares: 3, Jobs: NewJobs(2)}, func(context.Context) (*fakeDisk, error) {
		return &fakeDisk{id: ids.Add(1)}, nil
	})
	p.Start()
	var clients sync.WaitGroup
	for range 4 {
		clients.Add(1)
		go func() {
			defer clients.Done()
			for range 250 {
				d, err := p.Get(context.Background())
				if err != nil || d.Touched() || d.closed.Load() != 0 {
					t.Errorf("got %v, %v, want an untouched, open disk", d, err)
					return
				}
				use := rand.IntN(2) == 0
				d.touched.Store(use)
				p.Put(d)
				if use && d.closed.Load() != 1 {
					t.Errorf("touched disk %d: closed %d times, want 1", d.id, d.closed.Load())
				}
			}
		}()
	}
	clients.Wait()
	p.Stop()
}

func TestPoolStorm(t *testing.T) {
	for _, spares := range []int{0, 100} {
		const jobs, storm = 3, 1000
		var running, most, made atomic.Int64
		var disks sync.Map
		p := newPool(Options[*fakeDisk]{Spares: spares, Jobs: NewJobs(jobs)}, func(context.Context) (*fakeDisk, error) {
			n := running.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			runtime.Gosched()
			running.Add(-1)
			d := &fakeDisk{id: made.Add(1)}
			disks.Store(d, nil)
			return d, nil
		})
		p.Start()
		held := make(chan *fakeDisk, storm)
		var clients sync.WaitGroup
		for range storm {
			clients.Add(1)
			go func() {
				defer clients.Done()
				d, err := p.Get(context.Background())
				if err != nil || d.touched.Swap(true) {
					t.Errorf("got %v, %v, want a disk of one's own", d, err)
				}
				held <- d
			}()
		}
		clients.Wait()
		for range storm {
			p.Put(<-held)
		}
		p.Stop()
		if n := most.Load(); n > jobs {
			t.Errorf("spares %d: %d makers at once, want at most %d", spares, n, jobs)
		}
		disks.Range(func(d, _ any) bool {
			if n := d.(*fakeDisk).closed.Load(); n != 1 {
				t.Errorf("spares %d: disk closed %d times, want 1", spares, n)
			}
			return true
		})
	}
}

func TestPoolStop(t *testing.T) {
	b := newPoolBench(t, Options[*fakeDisk]{Spares: 2, Jobs: NewJobs(2)})
	b.deaf = true
	b.Start()
	b.next().ok(1)
	last := b.next()
	b.until("one is ready", func() bool { return len(b.shelf) == 1 })
	served := b.join()
	held := served.wants(1)
	b.clock.Pass(breath)
	other := b.next()
	waiting := b.join()

	stopped := make(chan struct{})
	go func() { b.Stop(); close(stopped) }()
	if o := waiting.outcome(); !errors.Is(o.err, ErrStopped) {
		t.Errorf("client that waits: got %+v, want %v", o, ErrStopped)
	}
	if _, err := b.Get(context.Background()); !errors.Is(err, ErrStopped) {
		t.Errorf("client that comes later: got %v, want %v", err, ErrStopped)
	}
	<-last.ctx.Done()
	select {
	case <-stopped:
		t.Error("stop returned while a maker ran")
	default:
	}
	late := last.ok(2) // cancelled, but it had just finished
	other.fail(context.Canceled)
	select {
	case <-stopped:
	case <-time.After(2 * time.Minute):
		t.Fatal("stop never returned")
	}
	b.Stop()
	b.Put(held)
	for _, d := range []*fakeDisk{late, held} {
		if n := d.closed.Load(); n != 1 {
			t.Errorf("disk %d: closed %d times, want 1", d.id, n)
		}
	}
}

func TestPoolStopClosesShelf(t *testing.T) {
	b := newPoolBench(t, Options[*fakeDisk]{Spares: 2, Jobs: NewJobs(1)})
	b.Start()
	disks := []*fakeDisk{b.next().ok(1), b.next().ok(2)}
	b.idle(2)
	b.Stop()
	for _, d := range disks {
		if n := d.closed.Load(); n != 1 {
			t.Errorf("disk %d: closed %d times, want 1", d.id, n)
		}
	}
}
