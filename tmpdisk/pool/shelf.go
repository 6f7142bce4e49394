// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package pool

import (
	"fmt"
	"slices"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/logs"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// breath is how long the shelf waits before it replaces a disk that was taken.
// A maker that starts at once gets in the way of the client that has just got
// its disk: on two CPUs that client's first read takes twice as long.
const breath = 3 * time.Millisecond

// Why a disk is dropped.
const (
	outOfDate    = "it is out of date"
	retired      = "no disks are kept any more"
	shuttingDown = "the server is shutting down"
)

// refill is what the pool knows of spare disks that cannot be made.
type refill struct {
	fault   logs.Fault // lasts if the last one could not be made
	noRoom  bool       // because Room said so
	backoff sys.Backoff
	pause   *timer // runs until the next attempt
}

func newRefill() refill {
	return refill{backoff: sys.Backoff{First: time.Second, Last: time.Minute}}
}

// missing is how many disks the shelf is short of. With mu.
func (p *Pool[T]) missing() int {
	if !p.started || p.retired {
		return 0
	}
	return max(0, p.opts.Spares-len(p.shelf))
}

// place gives a disk, whose making began then, to the client that has waited
// longest. If none waits, the disk goes to the shelf or is dropped. With mu.
func (p *Pool[T]) place(disk T, began time.Time, from string) {
	switch {
	case p.stopped:
		p.drop(disk, shuttingDown)
	case len(p.queue) > 0:
		p.serve(p.queue[0], outcome[T]{disk: disk, began: began, from: from})
	case p.retired:
		p.drop(disk, retired)
	case p.missing() == 0:
		p.drop(disk, "nobody waits for it and enough are ready")
	default:
		p.shelf = append(p.shelf, disk)
		p.cancelSurplus()
	}
}

// take takes the newest disk off the shelf, which must not be empty, and sees
// to its replacement. With mu.
func (p *Pool[T]) take() T {
	last := len(p.shelf) - 1
	disk := p.shelf[last]
	p.shelf = slices.Delete(p.shelf, last, last+1)
	if p.breath == nil && p.missing() > 0 {
		p.arm(&p.breath, breath, p.fill)
	}
	return disk
}

// refillFailed books a spare disk that m did not make. Makers that fail while
// the pause runs do not lengthen it. With mu.
func (p *Pool[T]) refillFailed(m *maker[T], err error) {
	r := &p.refill
	r.noRoom = m.noRoom
	if r.pause == nil {
		p.arm(&r.pause, r.backoff.Next(), p.fill)
	}
	if r.fault.Begins("not made") {
		line := fmt.Sprintf("spare disk not made, trying again after %s, then ever less often: %v", r.backoff.First, err)
		p.later = append(p.later, func() { p.opts.LogError(line) })
	}
}

// clear drops the disks on the shelf and ends its timers. With mu.
func (p *Pool[T]) clear(why string) {
	for _, disk := range p.shelf {
		p.drop(disk, why)
	}
	p.shelf = nil
	disarm(&p.breath)
	disarm(&p.refill.pause)
}

// drop closes a disk once mu is released. With mu.
func (p *Pool[T]) drop(disk T, why string) {
	p.later = append(p.later, func() { p.close(disk, why) })
}

// close closes a disk that nobody is to have.
func (p *Pool[T]) close(disk T, why string) {
	if err := disk.Close(); err != nil {
		why = fmt.Sprintf("%s: %v (ignored)", why, err)
	}
	p.debugf("disk dropped: %s", why)
}

// A timer is one that runs.
type timer struct{ stop func() }

// arm sets *t to a timer that, once d has passed, clears *t and calls f with
// mu. A timer that *t no longer holds by then does nothing. With mu.
func (p *Pool[T]) arm(t **timer, d time.Duration, f func()) {
	own := &timer{}
	*t = own
	own.stop = p.opts.clock.AfterFunc(d, func() {
		p.mu.Lock()
		defer p.unlock()
		if *t == own {
			*t = nil
			f()
		}
	})
}

// disarm stops and clears *t if it holds a timer. With mu.
func disarm(t **timer) {
	if *t != nil {
		(*t).stop()
		*t = nil
	}
}
