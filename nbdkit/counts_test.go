// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"math"
	"sync"
	"testing"
	"time"
	"unsafe"
)

// checkLatency compares c's times with the only one that there should be.
func checkLatency(t *testing.T, c *DirectCounts, place int, sum uint64) {
	t.Helper()
	for i := range c.Latency {
		var want uint64
		if i == place {
			want = 1
		}
		if got := c.Latency[i].Load(); got != want {
			t.Errorf("Latency[%d]: got %d, want %d", i, got, want)
		}
	}
	if got := c.LatencySum.Load(); got != sum {
		t.Errorf("LatencySum: got %d, want %d", got, sum)
	}
}

// Time is the function that the bindings count their own requests by.
func TestDirectCountsTime(t *testing.T) {
	last := len(DirectCounts{}.Latency) - 1
	tests := []struct {
		name  string
		d     time.Duration
		place int
	}{
		{"nothing", 0, 0},
		{"1 ns", 1, 0},
		{"999 ns", 999, 0},
		{"3 µs", 3 * time.Microsecond, 2},
		{"1 ms", time.Millisecond, 10},
		{"1 s", time.Second, 20},
		{"an hour", time.Hour, last},
		{"the longest", math.MaxInt64, last},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var c DirectCounts
			c.Time(test.d)
			checkLatency(t, &c, test.place, uint64(test.d))
		})
	}
}

func TestDirectCountsTimeAtEachBound(t *testing.T) {
	last := len(DirectCounts{}.Latency) - 1
	for i := range last {
		bound := time.Microsecond << i
		var at, above DirectCounts
		at.Time(bound)
		checkLatency(t, &at, i, uint64(bound))
		above.Time(bound + 1)
		checkLatency(t, &above, i+1, uint64(bound)+1)
	}
}

func TestDirectCountsTimeNegative(t *testing.T) {
	var c DirectCounts
	c.Time(-time.Second)
	checkLatency(t, &c, 0, 0)
}

func TestDirectCountsTimeConcurrent(t *testing.T) {
	const goroutines, times = 4, 250000
	var c DirectCounts
	var wg sync.WaitGroup
	for range goroutines {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range times {
				c.Time(2 * time.Microsecond)
			}
		}()
	}
	wg.Wait()
	if got, want := c.Latency[1].Load(), uint64(goroutines*times); got != want {
		t.Errorf("Latency[1]: got %d, want %d", got, want)
	}
	if got, want := c.LatencySum.Load(), uint64(goroutines*times*2000); got != want {
		t.Errorf("LatencySum: got %d, want %d", got, want)
	}
}

// What changes with every request is on none of the cache lines of whatever lies
// before it or behind it.
func TestDirectCountsApart(t *testing.T) {
	const line = 64
	var c DirectCounts
	if got := unsafe.Offsetof(c.Reads); got < line {
		t.Errorf("bytes before Reads: got %d, want %d or more", got, line)
	}
	behind := unsafe.Offsetof(c.pause) + unsafe.Sizeof(c.pause)
	if got := unsafe.Sizeof(c) - behind; got < line {
		t.Errorf("bytes behind pause: got %d, want %d or more", got, line)
	}
}
