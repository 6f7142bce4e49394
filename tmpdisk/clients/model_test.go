// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package clients

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// crowd is owners whose clients do random things, and what came of it.
type crowd struct {
	*sim
	rng    *rand.Rand
	limits []Limits
	meters [][]*Meter
	calls  [][]*call // all there were, in order of arrival
}

func TestModel(t *testing.T) {
	for _, leaving := range []bool{false, true} {
		for range 25 {
			seed := rand.Uint64()
			t.Run(fmt.Sprintf("leaving %v seed %d", leaving, seed), func(t *testing.T) { model(t, seed, leaving) })
		}
	}
}

func model(t *testing.T, seed uint64, leaving bool) {
	m := &crowd{sim: newSim(t), rng: rand.New(rand.NewPCG(seed, 0))}
	slack := 2 * early // by how much a request may be late, or out of turn
	if leaving {
		slack += look
	}
	for i := range 1 + m.rng.IntN(4) {
		l := Limits{Rate: uint64(math.Pow(10, 11*m.rng.Float64())), IOPS: []int{0, 5, 50, 1_000_000}[m.rng.IntN(4)]}
		m.limits = append(m.limits, l)
		var meters []*Meter
		for range 1 + m.rng.IntN(4) {
			meters = append(meters, m.Meter(fmt.Sprint(i), l))
		}
		m.meters = append(m.meters, meters)
		m.calls = append(m.calls, nil)
	}
	for range 200 {
		m.request()
		if leaving && m.rng.IntN(4) == 0 {
			m.hangUp()
		}
		m.pass(time.Duration(m.rng.ExpFloat64() * []float64{0, 1e5, 1e8}[m.rng.IntN(3)]))
	}
	for m.next(math.MaxInt64) {
	}
	for i, calls := range m.calls {
		calls = slices.DeleteFunc(calls, func(c *call) bool { return c.cost == cost{} })
		inTurn(t, calls, slack)
		through := slices.DeleteFunc(slices.Clone(calls), func(c *call) bool { return c.err != nil })
		slices.SortStableFunc(through, func(a, b *call) int { return cmp.Compare(a.ended, b.ended) })
		notTooMuch(t, through, slack)
		notIdle(t, calls, through, slack)
		for _, meter := range m.meters[i] {
			meter.Close()
		}
	}
	m.pass(24 * time.Hour)
	for range len(m.owing) {
		enter(t, m.Clients, "passer-by", Limits{}).Leave()
	}
	if len(m.owners) != 0 || len(m.owing) != 0 {
		t.Errorf("got %d owners, %d owing, want none", len(m.owners), len(m.owing))
	}
}

// request lets one arrive: some milliseconds' worth, now and then seconds', or
// no bytes.
func (m *crowd) request() {
	i := m.rng.IntN(len(m.calls))
	seconds := m.rng.ExpFloat64() * []float64{0, 0.001, 0.1, 0.1, 2}[m.rng.IntN(5)]
	meter := m.meters[i][m.rng.IntN(len(m.meters[i]))]
	m.calls[i] = append(m.calls[i], m.start(meter, uint64(seconds*float64(m.limits[i].Rate))))
}

// hangUp lets one of those that wait give up.
func (m *crowd) hangUp() {
	if n := len(m.sim.calls); n > 0 {
		m.resume(m.sim.calls[m.rng.IntN(n)], errGone)
	}
}

// kinds are what is limited, each for itself.
var kinds = map[string]func(cost) float64{
	"bytes":    func(c cost) float64 { return c.bytes },
	"requests": func(c cost) float64 { return c.requests },
}

// notTooMuch looks at all spans of time: by its limits, what went through took no
// longer than the span and a burst, or the span and one request that is larger.
func notTooMuch(t *testing.T, through []*call, slack time.Duration) {
	t.Helper()
	for name, of := range kinds {
		most := burst
		for _, c := range through {
			most = max(most, of(c.cost))
		}
		for i, first := range through {
			sum := 0.0
			for _, c := range through[i:] {
				sum += of(c.cost)
				may := float64(c.ended-first.ended+slack) + most
				if of(c.cost) > 0 && sum > may*1.000001 {
					t.Fatalf("%s: got %v through from %v to %v, want at most %v", name,
						time.Duration(sum), first.ended, c.ended, time.Duration(may))
				}
			}
		}
	}
}

// inTurn looks whether a request was overtaken.
func inTurn(t *testing.T, calls []*call, slack time.Duration) {
	t.Helper()
	latest := time.Duration(0)
	for _, c := range calls {
		if c.err == nil && c.ended+slack < latest {
			t.Fatalf("got %v through at %v, and one that came after it at %v", c.cost, c.ended, latest)
		}
		latest = max(latest, c.ended)
	}
}

// notIdle follows what the bucket holds, by what went through when, and looks
// whether it had enough for the first of those that waited, and none went.
func notIdle(t *testing.T, calls, through []*call, slack time.Duration) {
	t.Helper()
	at, has := time.Duration(0), map[string]float64{"bytes": burst, "requests": burst}
	for _, c := range through {
		first, since := head(calls, c.ended)
		since = max(since, at)
		for k, of := range kinds {
			if need := of(first.cost); need > 0 {
				since = max(since, at+time.Duration(min(need, burst)-has[k]))
			}
		}
		if c.ended-since > slack {
			t.Fatalf("got nothing through from %v to %v, want %v", since, c.ended, first.cost)
		}
		for k, of := range kinds {
			has[k] = min(burst, has[k]+float64(c.ended-at)) - of(c.cost)
		}
		at = c.ended
	}
}

// head is the first of those that wait at a moment, and since when it is.
func head(calls []*call, at time.Duration) (*call, time.Duration) {
	gone := time.Duration(0)
	for _, c := range calls {
		if c.ended >= at {
			return c, max(c.arrived, gone)
		}
		gone = max(gone, c.ended)
	}
	return nil, 0
}
