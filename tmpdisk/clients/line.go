// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package clients

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// amount is of bytes and of requests. What has no limit is not counted.
type amount [2]float64

// line is the requests of one owner, in the order in which they came. A request goes
// when the limiters could have let through what it takes and all that came before it.
// So nobody need wake those that wait, and a look costs little however many wait.
type line struct {
	mu      sync.Mutex
	limits  [2]limit
	last    uint64 // number of a request
	passed  amount // of the requests that went
	joined  amount // of these and of those that wait
	waiting []turn
}

// limit is how much may pass: so much at once, and so much a second.
type limit struct {
	*rate.Limiter // nil is no limit
	much          float64
}

// turn is a request that waits.
type turn struct {
	number uint64
	takes  amount
	needs  amount // how much the limiters must have let through, or could
}

// newLine returns a line whose limiters are full.
func newLine(l Limits) *line {
	q := &line{}
	for i, perSecond := range []int{int(min(l.Rate, math.MaxInt)), l.IOPS} {
		if perSecond > 0 {
			q.limits[i] = limit{rate.NewLimiter(rate.Limit(perSecond), perSecond), float64(perSecond)}
		}
	}
	return q
}

// join adds a request to the end of the line and returns its number.
func (q *line) join(takes amount) uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.last++
	q.add(q.last, takes)
	return q.last
}

func (q *line) add(number uint64, takes amount) {
	t := turn{number, takes, amount{math.Inf(-1), math.Inf(-1)}}
	if n := len(q.waiting); n > 0 {
		t.needs = q.waiting[n-1].needs // what is free of one limit overtakes nobody
	}
	for i, l := range q.limits {
		if takes[i] > 0 {
			t.needs[i] = q.joined[i] + min(takes[i], l.much)
			q.joined[i] += takes[i]
		}
	}
	q.waiting = append(q.waiting, t)
}

// look returns how long a request must still wait. If that is not worth a sleep, it
// has gone.
func (q *line) look(clock sys.Clock, number uint64) time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	at, i, seconds := clock.Now(), q.find(number), 0.0
	t := q.waiting[i]
	for i, l := range q.limits {
		if t.needs[i] > q.passed[i] {
			seconds = max(seconds, (t.needs[i]-q.passed[i]-l.TokensAt(at))/l.much)
		}
	}
	// What takes a century need not be exact, but must not overflow.
	wait := time.Duration(min(seconds*float64(time.Second), 1<<62))
	if wait <= early {
		if i == 0 && len(q.waiting) > 1 {
			q.waiting = q.waiting[1:] // which moves nobody
		} else {
			q.waiting = slices.Delete(q.waiting, i, i+1)
		}
		q.take(at, t.takes)
	}
	return wait
}

// take counts a request that goes. Those after it pay for what it takes beyond what a
// limiter has.
func (q *line) take(at time.Time, takes amount) {
	for i, l := range q.limits {
		if takes[i] > l.much {
			l.SetBurstAt(at, int(takes[i])) // or it is refused
		}
		if takes[i] > 0 {
			l.ReserveN(at, int(takes[i]))
			q.passed[i] += takes[i]
		}
		if takes[i] > l.much {
			l.SetBurstAt(at, int(l.much))
		}
	}
	if len(q.waiting) == 0 {
		q.passed, q.joined = amount{}, amount{} // before they are too large to be exact
	}
}

// leave takes a request out of the line. Those behind it move up.
func (q *line) leave(number uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	i, all := q.find(number), q.waiting
	q.waiting, q.joined = all[:0], q.passed
	for _, t := range slices.Delete(all, i, i+1) {
		q.add(t.number, t.takes)
	}
}

func (q *line) find(number uint64) int {
	i, _ := slices.BinarySearchFunc(q.waiting, number, func(t turn, n uint64) int { return cmp.Compare(t.number, n) })
	return i
}

// owes reports whether a limiter is not full.
func (q *line) owes(at time.Time) bool {
	return slices.ContainsFunc(q.limits[:], func(l limit) bool {
		return l.Limiter != nil && l.TokensAt(at) < l.much
	})
}
