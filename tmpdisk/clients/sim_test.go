// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package clients

import (
	"cmp"
	"errors"
	"slices"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

var errGone = errors.New("the client has gone")

func gone(time.Duration) error { return errGone }

// sim has a clock of its own, and runs one request at a time: each in its
// goroutine, until it sleeps or is through.
type sim struct {
	*Clients
	t     *testing.T
	clock *testkit.Clock
	began time.Time
	over  func() time.Duration // by how much a sleep is too long
	calls []*call              // that sleep, in order of arrival
}

// call is a request on its way.
type call struct {
	n       uint64
	arrived time.Duration
	ended   time.Duration // -1 while it waits
	err     error
	wake    time.Duration
	resume  chan error
	stopped chan struct{} // it sleeps, or has ended
	cost    cost
}

const burst = float64(time.Second)

// cost is what a request takes of the time that its bytes, and that requests, have:
// nanoseconds, and fractions of them. 0 if there is no limit.
type cost struct{ bytes, requests float64 }

func costOf(m *Meter, n uint64) (c cost) {
	if m.owner == nil {
		return c
	}
	if l := m.owner.line.limits[0]; l.Limiter != nil {
		c.bytes = float64(n) / l.much * burst
	}
	if l := m.owner.line.limits[1]; l.Limiter != nil {
		c.requests = burst / l.much
	}
	return c
}

// now is the time since the beginning.
func (s *sim) now() time.Duration { return s.clock.Now().Sub(s.began) }

// owed is how long it takes until all of an owner's limiters are full.
func (s *sim) owed(owner string) (owed float64) {
	for _, l := range s.owners[owner].line.limits {
		if l.Limiter != nil {
			owed = max(owed, (l.much-l.TokensAt(s.clock.Now()))/l.much*burst)
		}
	}
	return owed
}

func newSim(t *testing.T) *sim {
	s := &sim{t: t, clock: testkit.NewClock(), over: func() time.Duration { return 0 }}
	s.began = s.clock.Now()
	s.Clients = newClients(s.clock)
	t.Cleanup(func() {
		for len(s.calls) > 0 {
			s.resume(s.calls[0], errGone)
		}
	})
	return s
}

// start lets a request of n bytes arrive.
func (s *sim) start(m *Meter, n uint64) *call {
	c := &call{n: n, arrived: s.now(), ended: -1, resume: make(chan error), stopped: make(chan struct{}),
		cost: costOf(m, n)}
	go func() {
		c.err = m.Wait(n, func(d time.Duration) error {
			if d <= early || d > look {
				s.t.Errorf("got a sleep of %v, want from %v to %v", d, early, look)
			}
			c.wake = s.now() + d + s.over()
			c.stopped <- struct{}{}
			return <-c.resume
		})
		c.ended = s.now()
		c.stopped <- struct{}{}
	}()
	<-c.stopped
	if c.ended < 0 {
		s.calls = append(s.calls, c)
	}
	return c
}

// resume ends c's sleep, with err.
func (s *sim) resume(c *call, err error) {
	c.resume <- err
	<-c.stopped
	if c.ended >= 0 {
		s.calls = slices.DeleteFunc(s.calls, func(o *call) bool { return o == c })
	}
}

// next wakes the sleeper whose turn it is, unless that is after the limit.
func (s *sim) next(limit time.Duration) bool {
	if len(s.calls) == 0 {
		return false
	}
	c := slices.MinFunc(s.calls, func(a, b *call) int { return cmp.Compare(a.wake, b.wake) })
	if c.wake > limit {
		return false
	}
	s.clock.Pass(max(0, c.wake-s.now()))
	s.resume(c, nil)
	return true
}

// pass lets d pass.
func (s *sim) pass(d time.Duration) {
	until := s.now() + d
	for s.next(until) {
	}
	s.clock.Pass(until - s.now())
}
