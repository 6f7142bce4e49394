// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package pool

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestJobsOrder(t *testing.T) {
	type want struct{ spares, clients int }
	tests := []struct {
		name  string
		slots int
		pools []want // A, B, C; their spares come first, then their clients
		order string // of the makers that start
	}{
		{"a flood and a few", 1, []want{{0, 100}, {0, 3}}, "AABABABAAA"},
		{"a flood and a few, two slots", 2, []want{{0, 100}, {0, 3}}, "AAABABABAAA"},
		{"two floods and a few", 1, []want{{0, 100}, {0, 100}, {0, 3}}, "AABCABCABCABAB"},
		{"a flood alone", 3, []want{{0, 8}}, "AAAAAAAA"},
		{"spares in turn", 1, []want{{3, 0}, {2, 0}}, "AABAB"},
		{"clients before spares of another", 1, []want{{4, 0}, {0, 3}}, "ABBBAAA"},
		{"clients before spares of another and one's own", 1, []want{{1, 2}, {2, 2}}, "AABBABB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			jobs := newSharedJobs(t, tt.slots)
			var benches []*poolBench
			for _, p := range tt.pools {
				b := newPoolBench(t, Options[*fakeDisk]{Spares: p.spares, Jobs: jobs})
				benches = append(benches, b)
				b.Start()
			}
			for i, p := range tt.pools {
				for range p.clients {
					benches[i].join()
				}
			}
			var order string
			var running []*fakeMake
			for len(order) < len(tt.order) {
				if len(running) == tt.slots {
					running[0].ok(0)
					running = running[1:]
				}
				i, m := nextOf(t, benches)
				order += string(rune('A' + i))
				running = append(running, m)
			}
			if order != tt.order {
				t.Errorf("makers started: got %s, want %s", order, tt.order)
			}
		})
	}
}

// Makers that hang keep their slots; no pool starves for that.
func TestJobsStall(t *testing.T) {
	jobs, clock := newSharedJobs(t, 2), testkit.NewClock()
	jobs.clock = clock
	hung := newPoolBench(t, Options[*fakeDisk]{Jobs: jobs})
	quick := newPoolBench(t, Options[*fakeDisk]{Spares: 1, Jobs: jobs})
	hung.join()
	hung.join()
	hung.join() // has no right to a third maker
	all := []*fakeMake{hung.next(), hung.next()}
	first, second := quick.join(), quick.join()
	clock.Pass(stall - 1)
	if len(quick.makes) != 0 {
		t.Fatal("a maker was started before the slots had stood still for long")
	}
	clock.Pass(1)
	m := quick.next()
	clock.Pass(2 * stall)
	if n := len(quick.makes) + len(hung.makes); n != 0 {
		t.Fatalf("got %d more makers, want one too many for each pool", n)
	}
	m.ok(1)
	first.wants(1)
	quick.next().ok(2) // at once: nothing has changed for the others
	second.wants(2)
	for i, m := range all {
		m.ok(int64(3 + i))
	}
	hung.next().ok(5)
}

// A pool that comes while others are in line goes to the end of it.
func TestJobsNewcomerDoesNotOvertake(t *testing.T) {
	jobs := newSharedJobs(t, 1)
	var benches []*poolBench
	for range 3 {
		benches = append(benches, newPoolBench(t, Options[*fakeDisk]{Jobs: jobs}))
	}
	benches[0].join()
	_, m := nextOf(t, benches)
	benches[1].join()
	benches[1].join()
	benches[2].join()
	benches[0].join()
	var got []int
	for range 4 {
		m.ok(0)
		i, next := nextOf(t, benches)
		got, m = append(got, i), next
	}
	if want := []int{1, 2, 0, 1}; !slices.Equal(got, want) {
		t.Errorf("makers started: got those of %v, want %v", got, want)
	}
}

func TestJobsSparesKeepTheirPlace(t *testing.T) {
	jobs := newSharedJobs(t, 1)
	first := newPoolBench(t, Options[*fakeDisk]{Spares: 1, Jobs: jobs})
	other := newPoolBench(t, Options[*fakeDisk]{Jobs: jobs})
	second := newPoolBench(t, Options[*fakeDisk]{Spares: 1, Jobs: jobs})
	done := jobs.hold(t)
	first.Start()
	other.join()
	second.Start()
	done()
	var got []int
	for range 3 {
		i, m := nextOf(t, []*poolBench{first, other, second})
		got = append(got, i)
		m.ok(0)
	}
	if want := []int{1, 0, 2}; !slices.Equal(got, want) {
		t.Errorf("makers started: got those of %v, want %v", got, want)
	}
}

func TestJobsSlotIsPassedOn(t *testing.T) {
	jobs := newSharedJobs(t, 1)
	first := newPoolBench(t, Options[*fakeDisk]{Jobs: jobs})
	second := newPoolBench(t, Options[*fakeDisk]{Jobs: jobs})
	done := jobs.hold(t)
	served, other := first.join(), second.join()

	// The client is served with a disk that comes back, between the grant and
	// the pool's hearing of it.
	first.Pool.mu.Lock()
	wake := jobs.giveBackIn(t, done)
	first.place(&fakeDisk{id: 1}, time.Time{}, "")
	first.Pool.mu.Unlock()
	<-wake
	served.wants(1)
	second.next().ok(2)
	other.wants(2)
	second.idle(0)
	if n := len(first.makes); n != 0 {
		t.Errorf("pool whose client had left: got %d makers, want 0", n)
	}
}

// giveBackIn calls done, which blocks, in a goroutine, and returns once the slot
// has been granted to the next.
func (j *Jobs) giveBackIn(t *testing.T, done func()) (returned chan struct{}) {
	t.Helper()
	left := len(j.wants()) - 1
	returned = make(chan struct{})
	go func() { defer close(returned); done() }()
	eventually(t, "the slot is granted", func() bool { return len(j.wants()) == left })
	return returned
}

// A client that leaves takes its pool out of the line at once, or its spares
// would get the turn of another's client.
func TestJobsLeaverGivesUpItsPlace(t *testing.T) {
	tests := []struct {
		name   string
		spares int
		want   []want // what is in line when the first one's client has left
	}{
		{"no spares wanted", 0, []want{forClient}},
		{"spares wanted", 1, []want{forClient, forSpare}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			jobs := newSharedJobs(t, 1)
			holder := newPoolBench(t, Options[*fakeDisk]{Jobs: jobs})
			first := newPoolBench(t, Options[*fakeDisk]{Spares: tt.spares, Jobs: jobs})
			second := newPoolBench(t, Options[*fakeDisk]{Jobs: jobs})
			holder.join()
			m := holder.next()
			first.Start()
			leaver := first.join()
			other := second.join()
			leaver.cancel()
			leaver.outcome()
			if got := jobs.wants(); !slices.Equal(got, tt.want) {
				t.Errorf("in line: got %v, want %v", got, tt.want)
			}
			m.ok(0)
			second.next().ok(1)
			other.wants(1)
		})
	}
}

// A cancelled maker may go on for a while, and has its slot until it returns.
func TestJobsCancelledMakerKeepsItsSlot(t *testing.T) {
	jobs := newSharedJobs(t, 1)
	first := newPoolBench(t, Options[*fakeDisk]{Jobs: jobs})
	first.deaf = true
	second := newPoolBench(t, Options[*fakeDisk]{Jobs: jobs})
	leaver, m := first.join(), first.next()
	leaver.cancel()
	leaver.outcome()
	<-m.ctx.Done()
	other := second.join()
	second.counts(0, 1)
	m.fail(errFirst)
	second.next().ok(1)
	other.wants(1)
}

func TestJobsStoppedPoolLeavesTheLine(t *testing.T) {
	jobs := newSharedJobs(t, 1)
	holder := newPoolBench(t, Options[*fakeDisk]{Jobs: jobs})
	holder.join()
	stopped := newPoolBench(t, Options[*fakeDisk]{Spares: 1, Jobs: jobs})
	stopped.Start()
	stopped.join()
	stopped.Stop()
	if got := jobs.wants(); len(got) != 0 {
		t.Errorf("in line: got %v, want nobody", got)
	}
}

// All at once, for the race detector.
func TestJobsStorm(t *testing.T) {
	const slots, pools, clients = 3, 4, 200
	jobs := newSharedJobs(t, slots)
	var running, most atomic.Int64
	work := func() {
		n := running.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		runtime.Gosched()
		running.Add(-1)
	}
	var all sync.WaitGroup
	for i := range pools {
		p := newPool(Options[*fakeDisk]{Spares: i, Jobs: jobs}, func(context.Context) (*fakeDisk, error) {
			work()
			return &fakeDisk{}, nil
		})
		t.Cleanup(p.Stop)
		p.Start()
		for n := range clients {
			all.Add(1)
			go func() {
				defer all.Done()
				d, err := p.Get(context.Background())
				if err != nil {
					t.Errorf("pool %d: got %v, want a disk", i, err)
					return
				}
				d.touched.Store(n%2 == 0)
				p.Put(d)
			}()
		}
		all.Add(1)
		go func() {
			defer all.Done()
			if i%2 == 0 {
				p.Retire()
			}
		}()
	}
	all.Wait()
	if n := most.Load(); n > slots {
		t.Errorf("got %d at once, want at most %d", n, slots)
	}
}
