// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package pool

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"
	"time"
)

// drill does random things to a pool, one after the other, and checks after
// each that the pool is as its contract says. It knows who waits, who runs and
// who has which disk.
type drill struct {
	*poolBench
	rng     *rand.Rand
	step    int
	full    *atomic.Bool        // what Room says
	waiting []*client           // in order of arrival
	came    map[*client]int     // the step
	makers  []*fakeMake         // that have not returned
	started map[*fakeMake]int   // the step
	failed  map[error]*fakeMake // whose error it is
	held    []*fakeDisk         // by clients
	all     []*fakeDisk
	shared  bool // its slots are; others see to the rules of that
}

func TestPoolStress(t *testing.T) {
	for range 40 {
		seed := rand.Uint64()
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) { stress(t, seed, 300) })
	}
}

func stress(t *testing.T, seed uint64, steps int) {
	rng := rand.New(rand.NewPCG(seed, 0))
	d := newDrill(t, rng, NewJobs(1+rng.IntN(4)))
	begin := d.rng.IntN(20)
	for d.step = range steps {
		if d.step == begin {
			d.Start()
		}
		d.act()
		d.settle()
		d.check()
	}
	d.end()
}

func newDrill(t *testing.T, rng *rand.Rand, jobs *Jobs) *drill {
	d := &drill{
		rng:     rng,
		full:    new(atomic.Bool),
		came:    map[*client]int{},
		started: map[*fakeMake]int{},
		failed:  map[error]*fakeMake{},
	}
	d.poolBench = newPoolBench(t, Options[*fakeDisk]{
		Spares: d.rng.IntN(4),
		Jobs:   jobs,
		Fresh:  isFresh,
		Room: func() error {
			if d.full.Load() {
				return errors.New("no room")
			}
			return nil
		},
	})
	d.deaf = true // a maker that is cancelled returns when the drill says so
	t.Cleanup(func() {
		if t.Failed() {
			go d.release() // or the pool could not be stopped
		}
	})
	return d
}

// release makes all makers return.
func (d *drill) release() {
	for _, m := range d.makers {
		m.fail(context.Canceled)
	}
	for m := range d.makes {
		m.fail(context.Canceled)
	}
}

// act is one random step.
func (d *drill) act() {
	switch d.rng.IntN(10) {
	case 0, 1, 2:
		c := d.join()
		d.came[c] = d.step
		d.waiting = append(d.waiting, c)
	case 3:
		if c, ok := pick(d.rng, &d.waiting); ok {
			c.cancel()
			if o := c.outcome(); !errors.Is(o.err, errLeft) {
				d.t.Fatalf("step %d: client that left: got %+v, want %v", d.step, o, errLeft)
			}
		}
	case 4, 5:
		d.finish(true)
	case 6:
		d.finish(false)
	case 7:
		if disk, ok := pick(d.rng, &d.held); ok {
			disk.touched.Store(d.rng.IntN(3) == 0)
			d.Put(disk)
		}
	case 8:
		d.clock.Pass([]time.Duration{breath, time.Second, time.Minute}[d.rng.IntN(3)])
	case 9:
		d.full.Store(d.rng.IntN(2) == 0)
		if len(d.all) > 0 {
			d.all[d.rng.IntN(len(d.all))].stale.Store(true)
		}
	}
}

// pick takes a random element out of s.
func pick[E any](rng *rand.Rand, s *[]E) (e E, ok bool) {
	if len(*s) == 0 {
		return e, false
	}
	i := rng.IntN(len(*s))
	e = (*s)[i]
	*s = slices.Delete(*s, i, i+1)
	return e, true
}

// finish makes a random maker return.
func (d *drill) finish(ok bool) {
	m, any := pick(d.rng, &d.makers)
	switch {
	case any && ok:
		d.all = append(d.all, m.ok(int64(len(d.all))))
	case any:
		err := fmt.Errorf("step %d", d.step)
		d.failed[err] = m
		m.fail(err)
	}
}

// settle waits until the pool has done all that it does by itself, and takes
// note of it.
func (d *drill) settle() {
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); runtime.Gosched() {
		if d.settled() {
			return
		}
	}
	d.t.Fatalf("step %d: the pool does not settle", d.step)
}

// settled takes note of what the pool has done, and reports whether it has done
// all that it does by itself.
func (d *drill) settled() bool {
	d.Pool.mu.Lock()
	for len(d.makes) > 0 {
		m := <-d.makes
		d.started[m] = d.step
		d.makers = append(d.makers, m)
	}
	done := d.running() == len(d.makers)
	queue := len(d.queue)
	d.Pool.mu.Unlock()
	for i := 0; i < len(d.waiting); i++ {
		select {
		case o := <-d.waiting[i].got:
			d.served(i, o)
			i--
		default:
		}
	}
	return done && queue == len(d.waiting)
}

// served notes and checks the outcome of the client that waits at place i.
func (d *drill) served(i int, o outcome[*fakeDisk]) {
	c := d.waiting[i]
	d.waiting = slices.Delete(d.waiting, i, i+1)
	if o.err != nil {
		if m := d.failed[o.err]; m == nil || d.started[m] < d.came[c] {
			d.t.Fatalf("step %d: client of step %d: got error %v, want that of a maker not older than it", d.step, d.came[c], o.err)
		}
		delete(d.failed, o.err) // nobody else may get it
		return
	}
	if i != 0 {
		d.t.Fatalf("step %d: the client at place %d got a disk, want the first", d.step, i)
	}
	if o.disk.Touched() || !isFresh(o.disk) || o.disk.closed.Load() != 0 || slices.Contains(d.held, o.disk) {
		d.t.Fatalf("step %d: got disk %d, which is used, out of date or closed", d.step, o.disk.id)
	}
	d.held = append(d.held, o.disk)
}

// check compares the pool with its contract. Nothing of it moves meanwhile.
func (d *drill) check() {
	d.Pool.mu.Lock()
	defer d.Pool.mu.Unlock()
	p, jobs := d.Pool, d.opts.Jobs.slots
	for _, rule := range []struct {
		text string
		ok   bool
	}{
		{"no more makers than jobs", d.running() <= jobs},
		{"the shelf is empty while anybody waits", len(p.shelf) == 0 || len(p.queue) == 0},
		{"no more disks than spares", len(p.shelf) <= p.opts.Spares},
		{"makers for all who wait", d.shared || len(p.makers) >= min(len(p.queue), jobs-p.ending)},
		{"no surplus", len(p.makers) <= p.wanted()},
		{"spares are made, or there is a reason", d.shared || p.missing() == 0 || !p.mayRefill() ||
			len(p.makers) >= min(p.wanted(), jobs-p.ending)},
		{"nothing is kept by a pool that has retired", !p.retired || len(p.shelf) == 0},
		{"a client and its maker know each other", d.paired()},
	} {
		if !rule.ok {
			d.t.Fatalf("step %d: broken: %s: %d wait, %d makers and %d cancelled, jobs %d, shelf %d of %d",
				d.step, rule.text, len(p.queue), len(p.makers), p.ending, jobs, len(p.shelf), p.opts.Spares)
		}
	}
}

func (d *drill) paired() bool {
	for _, m := range d.Pool.makers {
		if m.client != nil && (m.client.maker != m || !slices.Contains(d.queue, m.client)) {
			return false
		}
	}
	for _, w := range d.queue {
		if w.maker != nil && (w.maker.client != w || !slices.Contains(d.Pool.makers, w.maker)) {
			return false
		}
	}
	return true
}

// end stops the pool and checks that every disk is closed once.
func (d *drill) end() {
	stopped := make(chan struct{})
	go func() { d.Stop(); close(stopped) }()
	d.until("it stops", func() bool { return d.Pool.stopped })
	for _, c := range d.waiting {
		if o := c.outcome(); !errors.Is(o.err, ErrStopped) {
			d.t.Fatalf("client that waits at the end: got %+v, want %v", o, ErrStopped)
		}
	}
	for len(d.makers) > 0 {
		d.finish(d.rng.IntN(2) == 0)
	}
	<-stopped
	for _, disk := range d.held {
		d.Put(disk)
	}
	for _, disk := range d.all {
		if n := disk.closed.Load(); n != 1 {
			d.t.Errorf("disk %d: closed %d times, want 1", disk.id, n)
		}
	}
}
