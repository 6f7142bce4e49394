// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package pool

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"
)

// maker is one run of makeDisk. client is under the pool's mu.
type maker[T Disk] struct {
	client *waiter[T] // it was started for, and that still waits; or nil
	spare  bool       // started for the shelf, and so only if there is room
	noRoom bool       // there was none
	cancel context.CancelCauseFunc
}

// fill starts the makers that are wanted and that there are slots for, those of
// clients first. It gets the pool in line if there is none, and out of it if no
// maker is wanted. With mu.
func (p *Pool[T]) fill() {
	for {
		w := p.wants()
		ok, wake := p.opts.Jobs.take(&p.seat, w)
		p.wakeLater(wake)
		if !ok {
			return
		}
		p.start(w)
	}
}

// wants is what the next maker is wanted for. With mu.
func (p *Pool[T]) wants() want {
	switch {
	case p.stopped || len(p.makers) >= p.wanted():
		return nothing
	case p.nextClient() >= 0:
		return forClient
	case p.mayRefill():
		return forSpare
	}
	return nothing
}

// nextClient is the first place in the queue that has no maker, or -1. With mu.
func (p *Pool[T]) nextClient() int {
	return slices.IndexFunc(p.queue, func(w *waiter[T]) bool { return w.maker == nil })
}

// start starts a maker, whose slot the pool has taken. With mu.
func (p *Pool[T]) start(w want) {
	m := &maker[T]{spare: w == forSpare}
	if w == forClient {
		m.client = p.queue[p.nextClient()]
		m.client.maker = m
	}
	var ctx context.Context
	ctx, m.cancel = context.WithCancelCause(context.Background())
	p.makers = append(p.makers, m)
	p.returned.Add(1)
	go p.run(ctx, m)
}

// granted is called when the pool's turn for a slot has come.
func (p *Pool[T]) granted() {
	p.mu.Lock()
	defer p.unlock()
	p.fill()
}

// wakeLater makes unlock call wake, and before it closes disks, which may take
// long. With mu.
func (p *Pool[T]) wakeLater(wake func()) {
	p.later = slices.Insert(p.later, 0, wake)
}

// wanted is how many disks the clients and the shelf are short of. With mu.
func (p *Pool[T]) wanted() int { return len(p.queue) + p.missing() }

// mayRefill reports whether a maker may be started for the shelf. After a
// failure one maker alone finds out whether it works again. With mu.
func (p *Pool[T]) mayRefill() bool {
	runsForNobody := func(m *maker[T]) bool { return m.client == nil }
	return p.breath == nil && p.refill.pause == nil &&
		!(p.refill.fault.Lasts() && slices.ContainsFunc(p.makers, runsForNobody))
}

// cancelSurplus cancels the newest maker that runs for nobody, if there is one
// more than wanted, and reports whether it did. With mu.
func (p *Pool[T]) cancelSurplus() bool {
	if len(p.makers) <= p.wanted() {
		return false
	}
	for i, m := range slices.Backward(p.makers) {
		if m.client == nil {
			p.makers = slices.Delete(p.makers, i, i+1)
			p.ending++
			m.cancel(ErrUnwanted)
			return true
		}
	}
	return false
}

// run is the goroutine of a maker. It books an outcome even if makeDisk panics
// or calls [runtime.Goexit].
func (p *Pool[T]) run(ctx context.Context, m *maker[T]) {
	defer p.returned.Done()
	defer m.cancel(nil)
	var disk T
	err := errors.New("make disk: the maker did not return")
	began := p.opts.clock.Now()
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("make disk: panic: %v", v)
			p.opts.LogError(fmt.Sprintf("%v\n%s", err, debug.Stack()))
		}
		if err != nil {
			p.failed(m, err, p.opts.clock.Now().Sub(began))
		} else {
			p.made(m, disk, began)
		}
	}()
	if m.spare {
		if full := p.opts.Room(); full != nil {
			m.noRoom, err = true, full
			return
		}
	}
	disk, err = p.makeDisk(ctx)
}

// made books a maker that returned a disk. If the disk goes to another client,
// the maker's own keeps its place in the queue and may have another maker.
func (p *Pool[T]) made(m *maker[T], disk T, began time.Time) {
	p.debugf("disk made in %s", short(p.opts.clock.Now().Sub(began)))
	p.mu.Lock()
	defer p.unlock()
	p.ended(m)
	if w := m.client; w != nil {
		m.client, w.maker = nil, nil
	}
	// A client's disk does not show that there is room for spares.
	if p.refill.fault.Lasts() && (m.spare || !p.refill.noRoom) {
		disarm(&p.refill.pause)
		p.refill = newRefill()
		p.later = append(p.later, func() { p.debugf("spare disks can be made again") })
	}
	p.place(disk, began, "as it was made")
	p.fill()
}

// failed books a maker that returned an error.
func (p *Pool[T]) failed(m *maker[T], err error, took time.Duration) {
	p.debugf("disk not made after %s: %v", short(took), err)
	p.mu.Lock()
	defer p.unlock()
	cancelled := p.ended(m)
	switch {
	case m.client != nil:
		p.serve(m.client, outcome[T]{err: err})
	case !cancelled && !p.stopped && !p.retired:
		p.refillFailed(m, err)
	}
	p.fill()
}

// ended takes m out of the counts, gives its slot back, and reports whether it
// was cancelled as surplus. With mu.
func (p *Pool[T]) ended(m *maker[T]) (cancelled bool) {
	p.wakeLater(p.opts.Jobs.giveBack(&p.seat))
	i := slices.Index(p.makers, m)
	if i < 0 {
		p.ending--
		return true
	}
	p.makers = slices.Delete(p.makers, i, i+1)
	return false
}
