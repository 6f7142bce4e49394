// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package pool

import (
	"strings"
	"testing"
)

func TestPoolRetireDropsTheShelf(t *testing.T) {
	b := newPoolBench(t, Options[*fakeDisk]{Spares: 1, Jobs: NewJobs(1)})
	b.Start()
	disk := b.next().ok(1)
	b.idle(1)
	b.Put(b.join().wants(1)) // with a breath that has not ended
	b.Retire()
	b.Retire()
	if n := disk.closed.Load(); n != 1 {
		t.Errorf("closed %d times, want 1", n)
	}
	if p := b.clock.Timers(); len(p) != 0 {
		t.Errorf("timers: got %v, want none", p)
	}
	b.Start()
	b.counts(0, 0)
}

func TestPoolRetireCancelsWhatNobodyNeeds(t *testing.T) {
	tests := []struct {
		name      string
		slots     int
		clients   int
		cancelled int // of the makers that run for spares
	}{
		{"no clients", 2, 0, 2},
		{"a client with a maker of its own", 3, 1, 2},
		{"a client without", 2, 1, 1},
		{"clients without", 2, 3, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newPoolBench(t, Options[*fakeDisk]{Spares: 2, Jobs: newSharedJobs(t, tt.slots)})
			b.Start()
			makes := []*fakeMake{b.next(), b.next()}
			var clients []*client
			for range tt.clients {
				clients = append(clients, b.join())
			}
			b.Retire()
			cancelled := 0
			for _, m := range makes {
				if m.ctx.Err() != nil {
					cancelled++
				} else {
					m.ok(0)
				}
			}
			if cancelled != tt.cancelled {
				t.Errorf("cancelled: got %d, want %d", cancelled, tt.cancelled)
			}
			for served := len(makes) - cancelled; served < len(clients); served++ {
				b.next().ok(0)
			}
			for _, c := range clients {
				c.wants(0)
			}
			b.idle(0)
			if n := len(b.makes); n != 0 {
				t.Errorf("got %d more makers, want 0", n)
			}
		})
	}
}

func TestPoolRetiredServesClients(t *testing.T) {
	b := newPoolBench(t, Options[*fakeDisk]{Spares: 1, Jobs: NewJobs(1)})
	b.Retire()
	b.Start()
	first := b.join()
	b.next().ok(1)
	disk := first.wants(1)
	b.idle(0)

	second, own := b.join(), b.next()
	b.Put(disk)
	second.wants(1)
	<-own.ctx.Done()
	b.idle(0)
	b.Put(disk)
	if n := disk.closed.Load(); n != 1 {
		t.Errorf("disk that comes back: closed %d times, want 1", n)
	}
	b.idle(0)

	b.deaf = true
	leaver, m := b.join(), b.next()
	leaver.cancel()
	leaver.outcome()
	late := m.ok(2) // cancelled, but it had just finished
	b.idle(0)
	if n := late.closed.Load(); n != 1 {
		t.Errorf("disk made for nobody: closed %d times, want 1", n)
	}
}

// Nothing tries again, and the log says nothing of spare disks any more.
func TestPoolRetiredForgetsFailures(t *testing.T) {
	again := make(chan string, 1)
	b := newPoolBench(t, Options[*fakeDisk]{Spares: 1, Jobs: NewJobs(1), Debug: func(line string) {
		if strings.Contains(line, "can be made again") {
			again <- line
		}
	}})
	b.Start()
	b.next().fail(errFirst)
	b.idle(0)
	b.Retire()
	if p := b.clock.Timers(); len(p) != 0 {
		t.Errorf("timers: got %v, want none", p)
	}
	leaver, m := b.join(), b.next()
	stays := b.join()
	leaver.cancel()
	leaver.outcome()
	m.fail(errSecond) // which nobody is told: the other client came later
	b.next().ok(1)
	stays.wants(1)
	b.idle(0)
	if l, p := b.logged(), b.clock.Timers(); len(l) != 1 || len(p) != 0 {
		t.Errorf("got log %q and timers %v, want the failure before and none", l, p)
	}
	if len(again) != 0 {
		t.Errorf("debug: got %q, want nothing", <-again)
	}
}

func TestPoolRetiredGivesUpItsPlace(t *testing.T) {
	jobs := newSharedJobs(t, 1)
	holder := newPoolBench(t, Options[*fakeDisk]{Jobs: jobs})
	holder.join()
	b := newPoolBench(t, Options[*fakeDisk]{Spares: 1, Jobs: jobs})
	b.Start()
	b.Retire()
	if got := jobs.wants(); len(got) != 0 {
		t.Errorf("in line: got %v, want nobody", got)
	}
}
