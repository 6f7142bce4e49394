// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import "time"

// keepExtra is how long the one disk beyond the target may wait for a client.
const keepExtra = time.Minute

// breath is how long the shelf waits before what was taken is replaced. A
// maker that starts at once gets in the way of the client that has just taken
// a disk: on two CPUs it needs twice as long for its first read.
const breath = 3 * time.Millisecond

// place gives a disk to who waits longest, else to the shelf. False: nobody
// wants it and the caller must close it. With mu.
func (p *pool[T]) place(disk T, from string) bool {
	if p.stopped {
		return false
	}
	if e := p.queue.Front(); e != nil {
		p.hand(e.Value.(*waiter[T]), outcome[T]{disk: disk, from: from})
		return true
	}
	if len(p.shelf) > p.opts.spares {
		return false
	}
	p.shelf = append(p.shelf, disk)
	if len(p.shelf) > p.opts.spares {
		p.extra.arm(p.opts.clock, p.expire)
	}
	return true
}

// take takes a disk off the shelf, if there is one, and sees to it that it
// is replaced. With mu.
func (p *pool[T]) take() (disk T, ok bool) {
	if len(p.shelf) == 0 {
		return disk, false
	}
	disk = p.pop()
	if p.breather == nil && p.missing() > 0 {
		p.breather = p.opts.clock.AfterFunc(breath, p.breathed)
	}
	return disk, true
}

// breathed ends the breath, unless stop did.
func (p *pool[T]) breathed() {
	p.mu.Lock()
	if p.breather != nil {
		p.breather = nil
		p.fill()
	}
	p.mu.Unlock()
}

// pop takes the newest disk off the shelf, which must not be empty. With mu.
func (p *pool[T]) pop() T {
	var none T
	last := len(p.shelf) - 1
	disk := p.shelf[last]
	p.shelf[last] = none
	p.shelf = p.shelf[:last]
	p.extra.disarm()
	return disk
}

// expire drops the disk beyond the target; armed is the timer's own number.
func (p *pool[T]) expire(armed int) {
	p.mu.Lock()
	if p.stopped || armed != p.extra.armed || len(p.shelf) <= p.opts.spares {
		p.mu.Unlock()
		return
	}
	disk := p.pop()
	p.mu.Unlock()
	p.drop(disk, "no client came for it within "+keepExtra.String())
}

// drop closes a disk that nobody is to have.
func (p *pool[T]) drop(disk T, why string) {
	if err := disk.Close(); err != nil {
		p.debugf("disk dropped: %s: %v (ignored)", why, err)
		return
	}
	p.debugf("disk dropped: %s", why)
}

// extraTimer is the minute that the disk beyond the target has. Under mu.
type extraTimer struct {
	armed int // changes with every arm and disarm: tells a timer that came late
	timer timer
}

func (x *extraTimer) arm(c clock, expire func(armed int)) {
	x.disarm()
	armed := x.armed
	x.timer = c.AfterFunc(keepExtra, func() { expire(armed) })
}

func (x *extraTimer) disarm() {
	x.armed++
	if x.timer != nil {
		x.timer.Stop()
		x.timer = nil
	}
}
