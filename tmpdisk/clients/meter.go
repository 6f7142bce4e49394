// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package clients

import (
	"slices"
	"sync"
	"time"
)

const (
	// early is how long before its time a request may go: to sleep for less
	// takes longer than that. Those after it are no earlier for it.
	early = 50 * time.Microsecond
	// look is how long a request sleeps at most before it looks whether those
	// ahead of it have given up. In less than a second no full bucket overflows.
	look = 250 * time.Millisecond
)

// Meter holds the requests of one connection back to what its owner may have.
type Meter struct {
	clients  *Clients
	owner    *owner // nil without limits
	byteNS   float64
	requests float64 // nanoseconds each
	closed   bool    // under Clients.mu
}

// Meter returns a meter for one connection of owner's. It must be closed. If l
// has neither Rate nor IOPS, it does nothing.
func (c *Clients) Meter(owner string, l Limits) *Meter {
	m := &Meter{clients: c}
	if !l.Metered() {
		return m
	}
	if l.Rate > 0 {
		m.byteNS = float64(time.Second) / float64(l.Rate)
	}
	if l.IOPS > 0 {
		m.requests = float64(time.Second) / float64(l.IOPS)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	m.owner = c.use(owner)
	return m
}

// Close ends the meter. What it owes is still to be paid by its owner. Closing
// twice is harmless.
func (m *Meter) Close() {
	if m.owner == nil {
		return
	}
	m.clients.mu.Lock()
	defer m.clients.mu.Unlock()
	if !m.closed {
		m.closed = true
		m.clients.release(m.owner)
	}
}

// Wait returns when one more request, of n bytes, may go ahead. n is 0 for what
// counts as a request only (trim, zero).
//
// sleep is nbdkit_nanosleep: it sleeps for at least that long, or returns an
// error when the client has gone or the server is to end. Wait returns that
// error, and the request does not count. There is no other.
func (m *Meter) Wait(n uint64, sleep func(time.Duration) error) error {
	c := cost{float64(n) * m.byteNS, m.requests}
	if c == (cost{}) {
		return nil
	}
	now, q := m.clients.now, &m.owner.queue
	h, wait := q.join(now(), c)
	for wait > early {
		if err := sleep(min(wait, look)); err != nil {
			q.leave(now(), h)
			return err
		}
		wait = q.wait(now(), h)
	}
	return nil
}

// queue gives each request of an owner its time when it comes. So nobody need
// wake those that wait, and to look costs the same however many there are.
type queue struct {
	mu   sync.Mutex
	tail bucket  // after the last one
	held []*held // in order, from the first one that waits
}

// held is a request that waits, or one behind it that has gone through.
type held struct {
	cost    cost
	before  bucket // what those ahead of it leave
	due     time.Duration
	through bool
}

// join returns how long a request must wait, and, unless it need not sleep and
// nobody else waits, its place.
func (q *queue) join(now time.Duration, c cost) (*held, time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	before := q.tail
	q.tail = before.after(now, c)
	wait := q.tail.at - now
	if wait <= early && len(q.held) == 0 {
		return nil, wait
	}
	h := &held{c, before, q.tail.at, wait <= early}
	q.held = append(q.held, h)
	return h, wait
}

// wait returns how long h must still wait. If that is not worth a sleep, h has
// gone through.
func (q *queue) wait(now time.Duration, h *held) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	wait := h.due - now
	if wait <= early {
		h.through = true
		q.trim()
	}
	return wait
}

// leave takes h out of the queue. Those behind it that still wait move up.
func (q *queue) leave(now time.Duration, h *held) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.held, h)
	q.held = slices.Delete(q.held, i, i+1)
	q.tail = h.before
	for _, behind := range q.held[i:] {
		behind.before = q.tail
		q.tail = q.tail.after(min(now, behind.due), behind.cost)
		behind.due = q.tail.at
	}
	q.trim()
}

// trim forgets those that have gone through and need not be known to let
// somebody ahead of them leave. With q.mu.
func (q *queue) trim() {
	gone := 0
	for gone < len(q.held) && q.held[gone].through {
		gone++
	}
	clear(q.held[:gone])
	if q.held = q.held[gone:]; len(q.held) == 0 {
		q.held = nil
	}
}

// owes reports whether the bucket is not full.
func (q *queue) owes(now time.Duration) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.tail.until(now).owed != cost{}
}
