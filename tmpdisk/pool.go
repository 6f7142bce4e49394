// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// errStopped is what clients are told that wait, or come, when the server ends.
var errStopped = errors.New("open: the server is shutting down")

// spare is what the pool needs of a disk.
type spare interface {
	// Touched reports whether a client read or changed any of the disk.
	Touched() bool
	Close() error
}

// poolOptions say how many disks to keep and how to talk about it. The zero
// value keeps none, runs as many makers as there are CPUs, and is silent.
type poolOptions struct {
	spares int          // disks kept ready (spare-disks)
	jobs   int          // makers at any time (make-jobs); 0 is one per CPU
	room   func() error // why there is no room for a spare now; nil never asks
	// cause is what an error says that two makers can say alike; nil is all
	// of it. A spare's failure is logged if this is new.
	cause    func(error) string
	debug    func(string)
	logError func(string)
	clock    clock
}

// pool hands out disks that were made by makeDisk, made ahead where it can.
//
// Disks go to clients in the order in which the clients came, whoever caused
// the disk to be made. At most opts.jobs makers run at any time. Clients come
// before spares.
//
// Every client that has to wait brings one attempt: a maker that is started
// for it, as soon as a maker may be started. A maker that fails fails the
// client it was started for, and no other, so nobody is told of a failure that
// began before he came. If that client was served meanwhile, or left, nobody
// is failed. A client whose own maker's disk went to one who came earlier
// waits for the next disk, and is given another attempt if none comes.
//
// A client that leaves takes one maker with it, unless another client or the
// target still wants that maker's disk.
//
// A disk that comes back untouched is handed out again. The shelf holds the
// target and at most one more, and that one for a minute: so a probe (open,
// close) costs nothing even while its replacement is being made.
//
// All methods may be called from any goroutine. The one lock, mu, is never
// held while a disk is made, closed or asked, nor while a line is logged.
type pool[T spare] struct {
	opts     poolOptions
	makeDisk func(ctx context.Context) (T, error)

	ctx    context.Context // of all makers
	cancel context.CancelFunc
	makers sync.WaitGroup

	mu      sync.Mutex
	started bool
	stopped bool
	seq     uint64     // arrival number of the last client
	queue   list.List  // *waiter[T]: all that wait, in order of arrival
	unmet   list.List  // those of queue that no maker runs for, same order
	loose   list.List  // *attempt[T]: not cancelled, for no client; newest last
	running int        // makers, with those that are cancelled but not back yet
	live    int        // makers, without those
	shelf   []T        // ready disks; empty while anybody waits
	extra   extraTimer // for the disk beyond the target
	refill  refill     // what holds spares up
	// breather ends the breath after a disk was taken off the shelf; nil
	// when there is none.
	breather timer
}

// waiter is a client in get. Its fields are the pool's, under mu.
type waiter[T spare] struct {
	seq     uint64
	served  chan outcome[T] // has room for the one outcome
	inQueue *list.Element   // nil once served, failed or gone
	inUnmet *list.Element   // nil when attempt is not, and once out of queue
	attempt *attempt[T]
}

type outcome[T spare] struct {
	disk T
	from string // for the debug line
	err  error
}

// newPool prepares a pool; makers run once start or get is called. makeDisk
// must end soon after its context is cancelled.
func newPool[T spare](opts poolOptions, makeDisk func(ctx context.Context) (T, error)) *pool[T] {
	if opts.jobs < 1 {
		opts.jobs = runtime.NumCPU()
	}
	if opts.cause == nil {
		opts.cause = error.Error
	}
	if opts.debug == nil {
		opts.debug = func(string) {}
	}
	if opts.logError == nil {
		opts.logError = func(string) {}
	}
	if opts.clock == nil {
		opts.clock = realClock{}
	}
	p := &pool[T]{opts: opts, makeDisk: makeDisk}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	return p
}

// start begins to make spares.
func (p *pool[T]) start() {
	p.mu.Lock()
	p.started = true
	p.fill()
	p.mu.Unlock()
}

// ready returns a disk that is the caller's until it is put, if one is made
// already. It does not wait.
func (p *pool[T]) ready() (disk T, ok bool) {
	p.mu.Lock()
	disk, ok = p.take()
	p.mu.Unlock()
	if ok {
		p.debugf("disk taken from the shelf at once")
	}
	return disk, ok
}

// get returns a disk that is the caller's until it is put. It waits for one to
// be made if none is ready. The error is that of the caller's own attempt,
// ctx's, or says that the pool was stopped.
func (p *pool[T]) get(ctx context.Context) (T, error) {
	var none T
	if err := ctx.Err(); err != nil {
		return none, fmt.Errorf("open: %w", err)
	}
	came := p.opts.clock.Now()
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return none, errStopped
	}
	if disk, ok := p.take(); ok {
		p.mu.Unlock()
		p.debugf("disk taken from the shelf at once")
		return disk, nil
	}
	p.seq++
	w := &waiter[T]{seq: p.seq, served: make(chan outcome[T], 1)}
	w.inQueue = p.queue.PushBack(w)
	w.inUnmet = p.unmet.PushBack(w)
	p.fill()
	p.mu.Unlock()

	var got outcome[T]
	select {
	case got = <-w.served:
	case <-ctx.Done():
		if p.leave(w) {
			return none, fmt.Errorf("open: the client has gone, or the server is to end: %w", ctx.Err())
		}
		got = <-w.served
	}
	if got.err != nil {
		return none, got.err
	}
	p.debugf("disk taken %s after a wait of %s", got.from, short(p.opts.clock.Now().Sub(came)))
	return got.disk, nil
}

// leave takes w out of the queue; false if it has its outcome already.
func (p *pool[T]) leave(w *waiter[T]) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.inQueue == nil {
		return false
	}
	p.dequeue(w)
	p.cancelSurplus()
	p.fill()
	return true
}

// put takes back a disk that get returned, when its client is gone.
func (p *pool[T]) put(disk T) {
	if disk.Touched() {
		p.drop(disk, "its client used it")
		return
	}
	p.mu.Lock()
	waiting := p.queue.Len()
	kept := p.place(disk, "from a client that did not use it")
	if p.queue.Len() < waiting {
		p.cancelSurplus() // the maker that it waited for
	}
	p.mu.Unlock()
	if !kept {
		p.drop(disk, "untouched, and enough are ready")
		return
	}
	p.debugf("disk returned untouched")
}

// stop ends all makers and waits for them, closes the disks that are ready and
// fails the clients that wait. Disks that clients hold stay theirs until put.
// Stopping again is harmless, and waits too.
func (p *pool[T]) stop() {
	p.mu.Lock()
	p.stopped = true
	shelf := p.shelf
	p.shelf = nil
	p.extra.disarm()
	p.refill.clear()
	if p.breather != nil {
		p.breather.Stop()
		p.breather = nil
	}
	for e := p.queue.Front(); e != nil; e = p.queue.Front() {
		p.hand(e.Value.(*waiter[T]), outcome[T]{err: errStopped})
	}
	p.mu.Unlock()
	p.cancel()
	for _, disk := range shelf {
		p.drop(disk, "the server is shutting down")
	}
	p.makers.Wait()
}

// hand ends w's wait. With mu.
func (p *pool[T]) hand(w *waiter[T], o outcome[T]) {
	p.dequeue(w)
	w.served <- o
}

// dequeue takes w out of the queue; its maker, if any, goes on for whoever
// wants the disk. With mu.
func (p *pool[T]) dequeue(w *waiter[T]) {
	p.queue.Remove(w.inQueue)
	w.inQueue = nil
	if w.inUnmet != nil {
		p.unmet.Remove(w.inUnmet)
		w.inUnmet = nil
	}
	if a := w.attempt; a != nil {
		a.owner, w.attempt = nil, nil
		a.inLoose = p.loose.PushBack(a)
	}
}

func (p *pool[T]) debugf(format string, args ...any) {
	p.opts.debug(fmt.Sprintf(format, args...))
}

// short is a duration for the log, to the microsecond.
func short(d time.Duration) string { return d.Round(time.Microsecond).String() }
