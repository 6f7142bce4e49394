// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package clients

import "time"

const (
	// early is how long before its time a request may go: to sleep for less
	// takes longer than that. Those after it are no earlier for it.
	early = 50 * time.Microsecond
	// look is how long a request sleeps at most before it looks whether those
	// ahead of it have given up. In less than a second no limiter is full again.
	look = 250 * time.Millisecond
)

// Meter holds the requests of one connection back to what its owner may have.
type Meter struct {
	clients *Clients
	owner   *owner
	closed  bool // under Clients.mu
}

// Meter returns a meter for one connection of owner's. It must be closed. As long as
// the owner is known, what its first meter was given holds.
func (c *Clients) Meter(owner string, l Limits) *Meter {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := &Meter{clients: c, owner: c.use(owner)}
	if m.owner.line == nil {
		m.owner.line = newLine(l)
	}
	return m
}

// Close ends the meter. What it owes is still to be paid by its owner. Closing
// twice is harmless.
func (m *Meter) Close() {
	m.clients.mu.Lock()
	defer m.clients.mu.Unlock()
	if !m.closed {
		m.closed = true
		m.clients.release(m.owner)
	}
}

// Wait returns when one more request, of n bytes, may go ahead. n is 0 for what
// counts as a request only, and less than 1<<62.
//
// sleep is nbdkit_nanosleep: it sleeps for at least that long, or returns an
// error when the client has gone or the server is to end. Wait returns that
// error, and the request does not count. There is no other.
func (m *Meter) Wait(n uint64, sleep func(time.Duration) error) error {
	q, takes := m.owner.line, amount{float64(n), 1}
	for i, l := range q.limits {
		if l.Limiter == nil {
			takes[i] = 0
		}
	}
	if takes == (amount{}) {
		return nil
	}
	number := q.join(takes)
	for {
		wait := q.look(m.clients.clock, number)
		if wait <= early {
			return nil
		}
		if err := sleep(min(wait, look)); err != nil {
			q.leave(number)
			return err
		}
	}
}
