// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// Counts is what the clients of one disk have asked for. The zero value is ready.
// Requests that run at the same time for other disks do not slow each other down:
// the counters are on cache lines that nothing else is on. It must not be copied.
type Counts struct {
	_ [cacheLine]byte

	Read, Written, Trimmed, Zeroed Counter

	_ [cacheLine]byte
}

const cacheLine = 64

// Load is what has been counted up to now.
func (c *Counts) Load() Numbers {
	return Numbers{c.Read.load(), c.Written.load(), c.Trimmed.load(), c.Zeroed.load()}
}

// Counter counts the requests of one kind.
type Counter struct {
	Bytes, Requests atomic.Uint64
}

// Add counts one request of so many bytes.
func (c *Counter) Add(bytes uint64) {
	c.Bytes.Add(bytes)
	c.Requests.Add(1)
}

func (c *Counter) load() Count {
	return Count{Bytes: int64(c.Bytes.Load()), Requests: int64(c.Requests.Load())}
}

// Numbers are Counts at one moment, a plain value.
type Numbers struct {
	Read, Written, Trimmed, Zeroed Count
}

// Add adds another disk's.
func (n *Numbers) Add(other Numbers) {
	n.Read.add(other.Read)
	n.Written.add(other.Written)
	n.Trimmed.add(other.Trimmed)
	n.Zeroed.add(other.Zeroed)
}

func (c *Count) add(other Count) {
	c.Bytes += other.Bytes
	c.Requests += other.Requests
}

// bounds are the upper ends of a Histogram's buckets. A disk is cast in some tens
// of microseconds; a command, and those who wait for it, may take minutes.
var bounds = [...]time.Duration{
	10 * time.Microsecond, 25 * time.Microsecond, 100 * time.Microsecond, 250 * time.Microsecond,
	time.Millisecond, 2500 * time.Microsecond, 10 * time.Millisecond, 25 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, time.Second, 2500 * time.Millisecond,
	10 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute,
}

// Histogram counts how long things took, from microseconds to minutes. The zero
// value is empty and ready. It must not be copied.
type Histogram struct {
	counts [len(bounds) + 1]atomic.Uint64
	sum    atomic.Int64 // nanoseconds
}

// Observe counts one thing that took d, which is 0 if the clock went backwards.
func (h *Histogram) Observe(d time.Duration) {
	d = max(d, 0)
	i, _ := slices.BinarySearch(bounds[:], d)
	h.counts[i].Add(1)
	h.sum.Add(int64(d))
}

// Snapshot is what has been counted. While others observe, its sum may lack some of
// what its counts have, or the reverse.
func (h *Histogram) Snapshot() HistogramSnapshot {
	s := HistogramSnapshot{sum: time.Duration(h.sum.Load())}
	for i := range h.counts {
		s.counts[i] = h.counts[i].Load()
	}
	return s
}

// HistogramSnapshot is a Histogram at one moment, a plain value.
type HistogramSnapshot struct {
	counts [len(bounds) + 1]uint64 // in each bucket alone
	sum    time.Duration
}

// requestBuckets is the number of buckets of RequestTimes.
const requestBuckets = 24

// RequestTimes is how long some requests, a sample, took in the plugin. Counts[i]
// are those that took at most 1 µs << i and are in no bucket before; the last
// bucket has no bound.
type RequestTimes struct {
	Counts [requestBuckets]uint64
	Sum    time.Duration
}

// Latency is the same for a status file.
func (r RequestTimes) Latency() Latency {
	var l Latency
	for i, n := range r.Counts {
		l.Counts = append(l.Counts, int64(n))
		if i < requestBuckets-1 {
			l.BucketsUS = append(l.BucketsUS, 1<<i)
		}
	}
	return l
}

// Add adds another's.
func (r *RequestTimes) Add(other RequestTimes) {
	for i, n := range other.Counts {
		r.Counts[i] += n
	}
	r.Sum += other.Sum
}

// String is for a log: how many took at most how long.
func (r RequestTimes) String() string {
	var parts []string
	for i, n := range r.Counts {
		if n > 0 {
			parts = append(parts, fmt.Sprintf("%d within %v", n, time.Microsecond<<i))
		}
	}
	return cmp.Or(strings.Join(parts, ", "), "not known")
}
