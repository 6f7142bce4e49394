// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import "time"

// keepExtra is how long the one disk beyond the target may wait for a client.
const keepExtra = time.Minute

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
