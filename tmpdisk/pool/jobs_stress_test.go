// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package pool

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// fleet does random things to several pools that share their slots, and checks
// after each that the slots are dealt out as they should be.
type fleet struct {
	*testing.T
	rng    *rand.Rand
	jobs   *Jobs
	step   int
	drills []*drill
	seen   map[*maker[*fakeDisk]]int // the step
	passed []map[int]int             // of each pool: makers of others since it got in line for a client
}

func TestJobsStress(t *testing.T) {
	for range 30 {
		seed := rand.Uint64()
		ok := t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			f := &fleet{T: t, rng: rng, jobs: newSharedJobs(t, 1+rng.IntN(4)), seen: map[*maker[*fakeDisk]]int{}}
			for range 2 + rng.IntN(4) {
				d := newDrill(t, rng, f.jobs)
				d.shared = true
				f.drills = append(f.drills, d)
				f.passed = append(f.passed, nil)
			}
			for f.step = range 400 {
				f.act()
				f.settle()
				f.check()
			}
			f.end()
		})
		if !ok {
			return
		}
	}
}

func (f *fleet) act() {
	d := f.drills[f.rng.IntN(len(f.drills))]
	switch f.rng.IntN(40) {
	case 0:
		d.Start()
	case 1:
		if f.rng.IntN(10) == 0 {
			d.Retire()
		}
	default:
		d.act()
	}
}

// settle waits until the pools have done all that they do by themselves. Twice,
// because one that had settled may have been granted a slot by one that had not.
func (f *fleet) settle() {
	f.Helper()
	for _, d := range f.drills {
		d.step = f.step
	}
	inARow := 0
	eventually(f.T, fmt.Sprintf("step %d: the pools settle, and every slot is free or in use", f.step), func() bool {
		inARow++
		if !f.settled() {
			inARow = 0
		}
		return inARow == 2
	})
}

func (f *fleet) settled() bool {
	all, used := true, 0
	for _, d := range f.drills {
		all = d.settled() && all
		used += len(d.makers)
	}
	f.jobs.mu.Lock()
	defer f.jobs.mu.Unlock()
	return all && used+f.jobs.free == f.jobs.slots
}

// check compares the state of all pools with the rules.
func (f *fleet) check() {
	started, spares, running := make([]int, len(f.drills)), 0, 0
	for i, d := range f.drills {
		d.check()
		d.Pool.mu.Lock()
		running += d.running()
		for _, m := range d.Pool.makers {
			if _, old := f.seen[m]; !old {
				f.seen[m] = f.step
				started[i]++
				if m.spare {
					spares++
				}
			}
		}
		d.Pool.mu.Unlock()
		f.checkSeat(d)
	}
	if running > f.jobs.slots {
		f.Fatalf("step %d: %d slots in use, want at most %d", f.step, running, f.jobs.slots)
	}
	for i, d := range f.drills {
		f.checkTurn(i, d, started, spares)
	}
}

// checkSeat checks that a pool is in line for what it wants.
func (f *fleet) checkSeat(d *drill) {
	d.Pool.mu.Lock()
	defer d.Pool.mu.Unlock()
	f.jobs.mu.Lock()
	defer f.jobs.mu.Unlock()
	wants, got := d.wants(), d.seat.want
	// Whoever has just taken a spare disk lets the pool pause in its place.
	if got != wants && !(got == forSpare && wants == nothing) {
		f.Fatalf("step %d: in line for %d, want %d", f.step, got, wants)
	}
	if got != nothing && f.jobs.free != 0 {
		f.Fatalf("step %d: a pool is in line and %d slots are free", f.step, f.jobs.free)
	}
}

// checkTurn checks that no other pool started two makers, nor any a spare one,
// since pool i got in line for a client.
func (f *fleet) checkTurn(i int, d *drill, started []int, spares int) {
	f.jobs.mu.Lock()
	inLine := d.seat.want == forClient
	f.jobs.mu.Unlock()
	if !inLine || started[i] > 0 {
		f.passed[i] = nil
		return
	}
	if f.passed[i] == nil { // it has only got in line
		f.passed[i] = map[int]int{}
		return
	}
	if spares > 0 {
		f.Fatalf("step %d: a maker of spares was started before the client of pool %d", f.step, i)
	}
	for other, n := range started {
		if f.passed[i][other] += n; f.passed[i][other] > 1 {
			f.Fatalf("step %d: pool %d started two makers while pool %d was in line for a client", f.step, other, i)
		}
	}
}

// end lets makers finish until no client waits, and stops the pools.
func (f *fleet) end() {
	for f.finish() {
		f.step++
		f.settle()
		f.check()
	}
	for _, d := range f.drills {
		f.settle() // a slot may have come its way
		d.end()
	}
}

// finish frees a slot if a client waits, and reports whether one does.
func (f *fleet) finish() bool {
	waiting := 0
	for _, d := range f.drills {
		waiting += len(d.waiting)
	}
	if waiting == 0 {
		return false
	}
	for _, d := range f.drills {
		if len(d.makers) > 0 {
			d.finish(true)
			return true
		}
	}
	f.Fatalf("step %d: %d clients wait and no maker runs", f.step, waiting)
	return false
}
