// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package pool

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Why a maker's context was cancelled: see [context.Cause]. Both errors wrap
// [context.Canceled].
var (
	// ErrStopped is also wrapped by the error of clients that wait, or come,
	// when the pool is stopped.
	ErrStopped  = fmt.Errorf("the server is shutting down: %w", context.Canceled)
	ErrUnwanted = fmt.Errorf("nobody waits for the disk any more: %w", context.Canceled)
)

var errStopped = fmt.Errorf("open: %w", ErrStopped)

// A Disk is what the pool needs of a disk.
type Disk interface {
	// Touched reports whether a client read or changed any of the disk.
	Touched() bool
	Close() error
}

// Options say how many disks to make and whom to ask and tell.
type Options[T Disk] struct {
	Spares int   // disks to keep ready
	Jobs   *Jobs // limits the makers

	// Room returns an error if there is no room for a spare disk now. It is
	// called before each spare disk is made.
	Room func() error
	// Fresh reports whether a client may still get this disk. It is called
	// for each disk that is taken off the shelf or put back.
	Fresh func(T) bool

	Debug    func(string) // a line for nbdkit -v
	LogError func(string) // a line for the log

	clock sys.Clock // nil but in tests
}

// A Pool hands out disks. The package's documentation has the rules.
type Pool[T Disk] struct {
	opts     Options[T]
	makeDisk func(context.Context) (T, error)
	returned sync.WaitGroup // of the makers

	mu      sync.Mutex
	later   []func() // what unlock does after it has released mu
	started bool
	stopped bool
	retired bool
	seat    seat         // the pool's in Jobs, which guards it
	queue   []*waiter[T] // in order of arrival
	makers  []*maker[T]  // that run, in order of their start; not cancelled
	ending  int          // makers that were cancelled but have not returned
	shelf   []T          // newest last; empty while a client waits
	breath  *timer       // ends the breath after a disk was taken
	refill  refill
}

// waiter is a client in Get. Its maker is the pool's, under mu.
type waiter[T Disk] struct {
	maker  *maker[T]       // was started for this client and runs; or nil
	served chan outcome[T] // has room for the only outcome
}

type outcome[T Disk] struct {
	disk  T
	began time.Time // when its making did; zero of a disk that was ready
	from  string    // for the debug line
	err   error
}

// New returns a pool of disks that makeDisk makes. It makes none before Start
// or Get. makeDisk must return soon after its context is cancelled.
func New[T Disk](opts Options[T], makeDisk func(context.Context) (T, error)) *Pool[T] {
	opts.clock = sys.ClockOr(opts.clock)
	p := &Pool[T]{opts: opts, makeDisk: makeDisk, refill: newRefill()}
	p.seat.wake = p.granted
	return p
}

// Start begins to make spare disks.
func (p *Pool[T]) Start() {
	p.mu.Lock()
	defer p.unlock()
	p.started = true
	p.fill()
}

// Get returns a disk that is the caller's until Put. It waits if none is ready.
// The error is that of the caller's own maker, or says why ctx was cancelled,
// or wraps ErrStopped.
func (p *Pool[T]) Get(ctx context.Context) (T, error) {
	var none T
	came := p.opts.clock.Now()
	for ctx.Err() == nil {
		got, w := p.join()
		if w != nil {
			got = p.await(ctx, w)
		}
		if got.err != nil {
			return none, got.err
		}
		// What was begun for this client, or after it came, is as new as can
		// be, even if making a disk puts it out of date.
		if got.began.Before(came) && !p.opts.Fresh(got.disk) {
			p.close(got.disk, outOfDate)
			continue
		}
		p.debugf("disk taken %s after a wait of %s", got.from, short(p.opts.clock.Now().Sub(came)))
		return got.disk, nil
	}
	return none, goneError(ctx)
}

// join serves a client from the shelf, or returns its place in the queue.
func (p *Pool[T]) join() (outcome[T], *waiter[T]) {
	p.mu.Lock()
	defer p.unlock()
	switch {
	case p.stopped:
		return outcome[T]{err: errStopped}, nil
	case len(p.shelf) > 0:
		return outcome[T]{disk: p.take(), from: "from the shelf"}, nil
	}
	w := &waiter[T]{served: make(chan outcome[T], 1)}
	p.queue = append(p.queue, w)
	p.fill()
	return outcome[T]{}, w
}

// await returns w's outcome, or takes w out of the queue when ctx ends.
func (p *Pool[T]) await(ctx context.Context, w *waiter[T]) outcome[T] {
	select {
	case got := <-w.served:
		return got
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.unlock()
	if !slices.Contains(p.queue, w) {
		return <-w.served
	}
	p.dequeue(w)
	p.fill()
	return outcome[T]{err: goneError(ctx)}
}

func goneError(ctx context.Context) error {
	return fmt.Errorf("open: %w", context.Cause(ctx))
}

// Put takes back a disk that Get returned.
func (p *Pool[T]) Put(disk T) {
	if disk.Touched() {
		p.close(disk, "its client used it")
		return
	}
	if !p.opts.Fresh(disk) {
		p.close(disk, outOfDate)
		return
	}
	p.opts.Debug("disk returned untouched")
	p.mu.Lock()
	defer p.unlock()
	p.place(disk, time.Time{}, "from a client that did not use it")
	p.fill()
}

// Retire ends the keeping of spare disks: those on the shelf are closed, and
// makers that no client needs are cancelled. Clients are served as before. Start
// does not undo it.
func (p *Pool[T]) Retire() {
	p.mu.Lock()
	defer p.unlock()
	p.retired = true
	p.clear(retired)
	p.refill = newRefill()
	for p.cancelSurplus() {
	}
	p.fill()
}

// Stop cancels the makers, fails the clients that wait, closes the disks on the
// shelf, and waits until all makers have returned. Disks that clients hold stay
// theirs until Put. Stopping again is harmless, and waits too.
func (p *Pool[T]) Stop() {
	p.End()
	p.returned.Wait()
}

// End is Stop, but does not wait for the makers.
func (p *Pool[T]) End() {
	p.mu.Lock()
	defer p.unlock()
	p.stopped = true
	for _, m := range p.makers {
		m.cancel(ErrStopped)
	}
	for len(p.queue) > 0 {
		p.serve(p.queue[0], outcome[T]{err: errStopped})
	}
	p.clear(shuttingDown)
	p.fill()
}

// Stats are how busy a pool is.
type Stats struct {
	Making int // makers that run
	Spares int // disks on the shelf
}

// Stats returns how busy the pool is now.
func (p *Pool[T]) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return Stats{Making: len(p.makers) + p.ending, Spares: len(p.shelf)}
}

// serve ends w's wait. With mu.
func (p *Pool[T]) serve(w *waiter[T], got outcome[T]) {
	p.dequeue(w)
	w.served <- got
}

// dequeue takes w out of the queue. One maker may then be too many. With mu.
func (p *Pool[T]) dequeue(w *waiter[T]) {
	i := slices.Index(p.queue, w)
	p.queue = slices.Delete(p.queue, i, i+1)
	if m := w.maker; m != nil {
		m.client, w.maker = nil, nil
	}
	p.cancelSurplus()
}

// unlock releases mu, then does what had to wait for that: disks are closed and
// lines logged without it.
func (p *Pool[T]) unlock() {
	later := p.later
	p.later = nil
	p.mu.Unlock()
	for _, f := range later {
		f()
	}
}

// debugf logs a line for nbdkit -v.
func (p *Pool[T]) debugf(format string, args ...any) {
	p.opts.Debug(fmt.Sprintf(format, args...))
}

// short is a duration for the log, to the microsecond.
func short(d time.Duration) string { return d.Round(time.Microsecond).String() }
