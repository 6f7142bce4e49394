// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fakeDisk is what the pool keeps in tests.
type fakeDisk struct {
	id      int64
	touched atomic.Bool
	closed  atomic.Int32
}

func (d *fakeDisk) Touched() bool { return d.touched.Load() }
func (d *fakeDisk) Close() error  { d.closed.Add(1); return nil }

// fakeMake is one run of the maker, which ends when the test says how, or,
// unless it is deaf, when it is cancelled.
type fakeMake struct {
	ctx  context.Context
	end  chan outcome[*fakeDisk]
	deaf bool
}

func (m *fakeMake) ok(id int64) *fakeDisk {
	d := &fakeDisk{id: id}
	m.end <- outcome[*fakeDisk]{disk: d}
	return d
}

func (m *fakeMake) fail(err error) { m.end <- outcome[*fakeDisk]{err: err} }

// poolBench is a pool of fakes with a clock that stands still.
type poolBench struct {
	*pool[*fakeDisk]
	t     *testing.T
	clock *fakeClock
	makes chan *fakeMake // every run, in the order of their first step
	deaf  bool

	mu     sync.Mutex
	errors []string
}

func newPoolBench(t *testing.T, opts poolOptions) *poolBench {
	t.Helper()
	b := &poolBench{t: t, clock: &fakeClock{now: time.Unix(1e9, 0)}, makes: make(chan *fakeMake, 10000)}
	opts.clock = b.clock
	opts.logError = func(s string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.errors = append(b.errors, s)
	}
	b.pool = newPool(opts, func(ctx context.Context) (*fakeDisk, error) {
		m := &fakeMake{ctx: ctx, end: make(chan outcome[*fakeDisk], 1), deaf: b.deaf}
		b.makes <- m
		if m.deaf {
			o := <-m.end
			return o.disk, o.err
		}
		select {
		case o := <-m.end:
			return o.disk, o.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	})
	t.Cleanup(func() {
		b.stop()
		if b.running != 0 || b.live != 0 || b.queue.Len() != 0 || b.unmet.Len() != 0 || b.loose.Len() != 0 ||
			len(b.shelf) != 0 || len(b.clock.pauses()) != 0 {
			t.Errorf("after stop: running %d, live %d, queue %d, unmet %d, loose %d, shelf %d, timers %d, want all 0",
				b.running, b.live, b.queue.Len(), b.unmet.Len(), b.loose.Len(), len(b.shelf), len(b.clock.pauses()))
		}
	})
	return b
}

// next is the next run of the maker.
func (b *poolBench) next() *fakeMake {
	b.t.Helper()
	select {
	case m := <-b.makes:
		return m
	case <-time.After(30 * time.Second):
		b.t.Fatal("no maker was started")
		return nil
	}
}

// until waits for what other goroutines are about to do; f has the pool's mu.
func (b *poolBench) until(what string, f func() bool) {
	b.t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); runtime.Gosched() {
		b.pool.mu.Lock()
		ok := f()
		b.pool.mu.Unlock()
		if ok {
			return
		}
	}
	b.t.Fatalf("never came true: %s", what)
}

// idle waits until no maker runs and checks how many disks are ready.
func (b *poolBench) idle(shelf int) {
	b.t.Helper()
	b.until("no maker runs", func() bool { return b.running == 0 })
	b.makers.Wait() // a maker that is booked may still have a line to log
	b.pool.mu.Lock()
	defer b.pool.mu.Unlock()
	if len(b.shelf) != shelf {
		b.t.Fatalf("shelf: got %d disks, want %d", len(b.shelf), shelf)
	}
}

// counts checks how many makers run and how many clients wait.
func (b *poolBench) counts(running, waiting int) {
	b.t.Helper()
	b.pool.mu.Lock()
	defer b.pool.mu.Unlock()
	if b.running != running || b.queue.Len() != waiting {
		b.t.Fatalf("got %d makers and %d waiting, want %d and %d", b.running, b.queue.Len(), running, waiting)
	}
}

func (b *poolBench) logged() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.errors...)
}

// client is one get, under way.
type client struct {
	t      *testing.T
	cancel context.CancelFunc
	got    chan outcome[*fakeDisk]
}

// join starts a client and returns once it waits (or has been served).
func (b *poolBench) join() *client {
	b.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	c := &client{b.t, cancel, make(chan outcome[*fakeDisk], 1)}
	b.pool.mu.Lock()
	before := b.seq
	b.pool.mu.Unlock()
	go func() {
		d, err := b.get(ctx)
		c.got <- outcome[*fakeDisk]{disk: d, err: err}
	}()
	b.until("the client waits", func() bool { return b.seq > before || len(c.got) > 0 })
	return c
}

// broughtByFirst is whether m runs for the client that waits longest. Which of two
// makers takes its first step first is the scheduler's choice.
func (b *poolBench) broughtByFirst(m *fakeMake) bool {
	b.pool.mu.Lock()
	defer b.pool.mu.Unlock()
	return b.queue.Front().Value.(*waiter[*fakeDisk]).attempt.ctx == m.ctx
}

func (c *client) outcome() outcome[*fakeDisk] {
	c.t.Helper()
	defer c.cancel()
	select {
	case o := <-c.got:
		return o
	case <-time.After(30 * time.Second):
		c.t.Fatal("the client was never served")
		return outcome[*fakeDisk]{}
	}
}

// wants checks that the client was given disk id.
func (c *client) wants(id int64) *fakeDisk {
	c.t.Helper()
	o := c.outcome()
	if o.err != nil || o.disk.id != id {
		c.t.Fatalf("got %+v, want disk %d", o, id)
	}
	return o.disk
}
