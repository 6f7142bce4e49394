// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package clients

import (
	"math"
	"time"
)

// burst is what a full bucket holds: the time in which it fills up.
const burst = float64(time.Second)

// cost is what a request takes of the time that its bytes, and that requests,
// have: nanoseconds, and fractions of them, because a byte at 100 GB/s costs a
// hundredth. 0 if there is no limit.
type cost struct{ bytes, requests float64 }

// bucket is what is owed at one moment: how long until it is full, in
// nanoseconds. The moment may lie ahead: then nothing goes before it.
type bucket struct {
	at   time.Duration
	owed cost
}

// until is the bucket later, or the same if t is not later.
func (b bucket) until(t time.Duration) bucket {
	if t <= b.at {
		return b
	}
	passed := float64(t - b.at)
	return bucket{t, cost{max(0, b.owed.bytes-passed), max(0, b.owed.requests-passed)}}
}

// after is the bucket once it has let a request through that came at now: at is
// then the moment when that may be.
func (b bucket) after(now time.Duration, c cost) bucket {
	b = b.until(now)
	wait := max(lacks(b.owed.bytes, c.bytes), lacks(b.owed.requests, c.requests))
	if wait > 0 {
		// No sum of times may overflow. What costs a century need not be exact.
		ns := time.Duration(math.Ceil(min(wait, 1<<62)))
		b = b.until(b.at + min(ns, math.MaxInt64-b.at))
	}
	b.owed.bytes += c.bytes
	b.owed.requests += c.requests
	return b
}

// lacks is how long it takes until a bucket that is owed so much has enough for
// what c costs, or is full; nothing if c is free.
func lacks(owed, c float64) float64 {
	if c == 0 {
		return 0
	}
	return owed + min(c, burst) - burst
}
