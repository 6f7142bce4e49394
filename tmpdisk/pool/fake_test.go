// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package pool

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// fakeDisk is what the pool keeps in tests.
type fakeDisk struct {
	id      int64
	touched atomic.Bool
	stale   atomic.Bool
	closed  atomic.Int32
}

func (d *fakeDisk) Touched() bool { return d.touched.Load() }
func (d *fakeDisk) Close() error  { d.closed.Add(1); return nil }

func isFresh(d *fakeDisk) bool { return !d.stale.Load() }

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
	*Pool[*fakeDisk]
	t     *testing.T
	clock *testkit.Clock
	makes chan *fakeMake // every run, in the order of their first step
	deaf  bool

	mu     sync.Mutex
	errors []string
}

// newPool is New for tests that leave options out.
func newPool(opts Options[*fakeDisk], makeDisk func(context.Context) (*fakeDisk, error)) *Pool[*fakeDisk] {
	if opts.Room == nil {
		opts.Room = func() error { return nil }
	}
	if opts.Fresh == nil {
		opts.Fresh = func(*fakeDisk) bool { return true }
	}
	if opts.Debug == nil {
		opts.Debug = testkit.Quiet
	}
	if opts.LogError == nil {
		opts.LogError = testkit.Quiet
	}
	return New(opts, makeDisk)
}

func newPoolBench(t *testing.T, opts Options[*fakeDisk]) *poolBench {
	t.Helper()
	b := &poolBench{t: t, clock: testkit.NewClock(), makes: make(chan *fakeMake, 10000)}
	opts.clock = b.clock
	opts.LogError = func(s string) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.errors = append(b.errors, s)
	}
	b.Pool = newPool(opts, func(ctx context.Context) (*fakeDisk, error) {
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
		b.Stop()
		if b.running() != 0 || len(b.queue) != 0 || len(b.shelf) != 0 || len(b.clock.Timers()) != 0 {
			t.Errorf("after stop: running %d, queue %d, shelf %d, timers %d, want all 0",
				b.running(), len(b.queue), len(b.shelf), len(b.clock.Timers()))
		}
	})
	return b
}

// running counts the makers, with those that are cancelled. With mu.
func (b *poolBench) running() int { return len(b.makers) + b.ending }

// next is the next run of the maker.
func (b *poolBench) next() *fakeMake {
	b.t.Helper()
	select {
	case m := <-b.makes:
		return m
	case <-time.After(2 * time.Minute):
		b.t.Fatal("no maker was started")
		return nil
	}
}

// until waits for what other goroutines are about to do; f has the pool's mu.
func (b *poolBench) until(what string, f func() bool) {
	b.t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); runtime.Gosched() {
		b.Pool.mu.Lock()
		ok := f()
		b.Pool.mu.Unlock()
		if ok {
			return
		}
	}
	b.t.Fatalf("never came true: %s", what)
}

// idle waits until no maker runs and checks how many disks are ready.
func (b *poolBench) idle(shelf int) {
	b.t.Helper()
	b.until("no maker runs", func() bool { return b.running() == 0 })
	b.returned.Wait() // a maker that is booked may still have a line to log
	b.Pool.mu.Lock()
	defer b.Pool.mu.Unlock()
	if len(b.shelf) != shelf {
		b.t.Fatalf("shelf: got %d disks, want %d", len(b.shelf), shelf)
	}
}

// counts checks how many makers run and how many clients wait.
func (b *poolBench) counts(running, waiting int) {
	b.t.Helper()
	b.Pool.mu.Lock()
	defer b.Pool.mu.Unlock()
	if b.running() != running || len(b.queue) != waiting {
		b.t.Fatalf("got %d makers and %d waiting, want %d and %d", b.running(), len(b.queue), running, waiting)
	}
}

func (b *poolBench) logged() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.errors...)
}

// errLeft is why a client's context was cancelled.
var errLeft = fmt.Errorf("the client left: %w", context.Canceled)

// client is one Get, under way.
type client struct {
	t      *testing.T
	cancel func()
	got    chan outcome[*fakeDisk]
}

// join starts a client and returns once it waits (or has been served).
func (b *poolBench) join() *client {
	b.t.Helper()
	ctx, cancel := context.WithCancelCause(context.Background())
	c := &client{b.t, func() { cancel(errLeft) }, make(chan outcome[*fakeDisk], 1)}
	b.Pool.mu.Lock()
	before := len(b.queue)
	b.Pool.mu.Unlock()
	go func() {
		d, err := b.Get(ctx)
		c.got <- outcome[*fakeDisk]{disk: d, err: err}
	}()
	b.until("the client waits", func() bool { return len(b.queue) > before || len(c.got) > 0 })
	return c
}

func (c *client) outcome() outcome[*fakeDisk] {
	c.t.Helper()
	defer c.cancel()
	select {
	case o := <-c.got:
		return o
	case <-time.After(2 * time.Minute):
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
