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

func newSim(t *testing.T) *sim {
	s := &sim{t: t, clock: testkit.NewClock(), over: func() time.Duration { return 0 }}
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
		cost: cost{float64(n) * m.byteNS, m.requests}}
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
