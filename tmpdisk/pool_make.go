// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// attempt is one run of makeDisk. Its fields are the pool's, under mu, but for
// those that are set once before it starts.
type attempt[T spare] struct {
	ctx    context.Context
	cancel context.CancelFunc
	round  int  // refill.round when it started
	spare  bool // started for the shelf, and so only if there is room

	owner     *waiter[T]    // who brought it; nil if nobody, or not any more
	inLoose   *list.Element // nil if it has an owner or is cancelled
	cancelled bool
}

// fill starts the makers that are wanted and allowed, clients first. With mu.
func (p *pool[T]) fill() {
	for !p.stopped && p.running < p.opts.jobs && p.live < p.queue.Len()+p.missing() {
		a := &attempt[T]{round: p.refill.round}
		if e := p.unmet.Front(); e != nil {
			w := e.Value.(*waiter[T])
			p.unmet.Remove(e)
			w.inUnmet, w.attempt, a.owner = nil, a, w
		} else if p.mayRefill() {
			a.spare = true
			a.inLoose = p.loose.PushBack(a)
		} else {
			return
		}
		a.ctx, a.cancel = context.WithCancel(p.ctx)
		p.running++
		p.live++
		p.makers.Add(1)
		go p.run(a)
	}
}

// missing is how many disks the shelf is short of. With mu.
func (p *pool[T]) missing() int {
	if !p.started {
		return 0
	}
	return max(0, p.opts.spares-len(p.shelf))
}

// mayRefill is whether a maker may be started for the shelf. After a failure
// one at a time finds out whether it works again. With mu.
func (p *pool[T]) mayRefill() bool {
	return p.breather == nil && !p.refill.paused && (len(p.refill.causes) == 0 || p.loose.Len() == 0)
}

// cancelSurplus ends the newest maker that runs for nobody, if there is one more
// than clients and the target want. With mu.
func (p *pool[T]) cancelSurplus() {
	if e := p.loose.Back(); e != nil && p.live > p.queue.Len()+p.missing() {
		p.cancelAttempt(e.Value.(*attempt[T]))
	}
}

// cancelAttempt ends a loose attempt that nobody wants. With mu.
func (p *pool[T]) cancelAttempt(a *attempt[T]) {
	p.loose.Remove(a.inLoose)
	a.inLoose = nil
	a.cancelled = true
	p.live--
	a.cancel()
}

// run is the goroutine of one attempt. Whatever makeDisk does, a panic and
// runtime.Goexit included, the attempt is booked.
func (p *pool[T]) run(a *attempt[T]) {
	defer p.makers.Done()
	defer a.cancel()
	var disk T
	err := errors.New("make disk: the maker did not return")
	began := p.opts.clock.Now()
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("make disk: panic: %v", v)
			p.opts.logError(fmt.Sprintf("%v\n%s", err, debug.Stack()))
		}
		took := p.opts.clock.Now().Sub(began)
		if err != nil {
			p.fail(a, err, took)
			return
		}
		p.succeed(a, disk, took)
	}()
	if a.spare && p.opts.room != nil {
		if full := p.opts.room(); full != nil {
			err = &noRoomError{full}
			return
		}
	}
	disk, err = p.makeDisk(a.ctx)
}

// succeed books an attempt that gave a disk.
func (p *pool[T]) succeed(a *attempt[T], disk T, took time.Duration) {
	p.debugf("disk made in %s", short(took))
	p.mu.Lock()
	p.ended(a)
	recovered := p.refill.worked(a.spare)
	if w := a.owner; w != nil {
		a.owner, w.attempt = nil, nil
		p.unmeet(w)
	}
	kept := p.place(disk, "as it was made")
	p.fill()
	p.mu.Unlock()
	if recovered {
		p.debugf("spare disks can be made again")
	}
	if !kept {
		p.drop(disk, "nobody waits for it and enough are ready")
	}
}

// fail books an attempt that gave no disk.
func (p *pool[T]) fail(a *attempt[T], err error, took time.Duration) {
	p.debugf("disk not made after %s: %v", short(took), err)
	p.mu.Lock()
	p.ended(a)
	news := ""
	switch w := a.owner; {
	case w != nil:
		a.owner, w.attempt = nil, nil
		p.hand(w, outcome[T]{err: err})
	case a.cancelled || p.stopped:
	default:
		news = p.refill.failed(p.opts, a.round, err, p.resume)
	}
	p.fill()
	p.mu.Unlock()
	if news != "" {
		p.opts.logError(news)
	}
}

// ended takes a out of the counts. With mu.
func (p *pool[T]) ended(a *attempt[T]) {
	p.running--
	if !a.cancelled {
		p.live--
	}
	if a.inLoose != nil {
		p.loose.Remove(a.inLoose)
		a.inLoose = nil
	}
}

// unmeet puts w back among those that no maker runs for. Only clients that
// came back this way, fewer than there are makers, can be passed on the way to
// its place. With mu.
func (p *pool[T]) unmeet(w *waiter[T]) {
	for e := p.unmet.Front(); e != nil; e = e.Next() {
		if e.Value.(*waiter[T]).seq > w.seq {
			w.inUnmet = p.unmet.InsertBefore(w, e)
			return
		}
	}
	w.inUnmet = p.unmet.PushBack(w)
}

// resume ends the pause of a round.
func (p *pool[T]) resume(round int) {
	p.mu.Lock()
	if round == p.refill.round {
		p.refill.paused = false
		p.fill()
	}
	p.mu.Unlock()
}
