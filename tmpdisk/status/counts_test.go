// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import (
	"sync"
	"testing"
	"time"
	"unsafe"
)

func TestCounts(t *testing.T) {
	var c Counts
	var all sync.WaitGroup
	for range 4 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 100 {
				c.Read.Add(1)
				c.Written.Add(20)
				c.Trimmed.Add(300)
				c.Zeroed.Add(4000)
				c.Load()
			}
		}()
	}
	all.Wait()
	c.Zeroed.Add(5)
	want := Numbers{
		Read: Count{400, 400}, Written: Count{8000, 400}, Trimmed: Count{120000, 400}, Zeroed: Count{1600005, 401},
	}
	got := c.Load()
	if got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	got.Add(Numbers{Read: Count{1, 2}, Written: Count{3, 4}, Trimmed: Count{5, 6}, Zeroed: Count{7, 8}})
	want = Numbers{
		Read: Count{401, 402}, Written: Count{8003, 404}, Trimmed: Count{120005, 406}, Zeroed: Count{1600012, 409},
	}
	if got != want {
		t.Errorf("after Add: got %v, want %v", got, want)
	}
}

func TestCountsShareNoCacheLine(t *testing.T) {
	var c Counts
	if got := unsafe.Offsetof(c.Read); got < cacheLine {
		t.Errorf("got the first counter at %d, want at least %d", got, cacheLine)
	}
	end := unsafe.Offsetof(c.Zeroed) + unsafe.Sizeof(c.Zeroed)
	if got := unsafe.Sizeof(c) - end; got < cacheLine {
		t.Errorf("got %d bytes after the last counter, want at least %d", got, cacheLine)
	}
}

func TestObserve(t *testing.T) {
	last := len(bounds)
	tests := []struct {
		name   string
		d      time.Duration
		bucket int
		sum    time.Duration
	}{
		{"backwards", -time.Second, 0, 0},
		{"nothing", 0, 0, 0},
		{"at a bound", 25 * time.Microsecond, 1, 25 * time.Microsecond},
		{"above a bound", 25*time.Microsecond + 1, 2, 25*time.Microsecond + 1},
		{"at the last bound", 10 * time.Minute, last - 1, 10 * time.Minute},
		{"above all", time.Hour, last, time.Hour},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var h Histogram
			h.Observe(tt.d)
			want := HistogramSnapshot{sum: tt.sum}
			want.counts[tt.bucket] = 1
			if got := h.Snapshot(); got != want {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestBoundsRise(t *testing.T) {
	for i := 1; i < len(bounds); i++ {
		if bounds[i] <= bounds[i-1] {
			t.Errorf("got %v after %v, want more", bounds[i], bounds[i-1])
		}
	}
}

func TestObserveTogether(t *testing.T) {
	const each = 1000
	var h Histogram
	var all sync.WaitGroup
	for i := range 4 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range each {
				h.Observe(bounds[i])
				h.Snapshot()
			}
		}()
	}
	all.Wait()
	want := HistogramSnapshot{sum: each * (bounds[0] + bounds[1] + bounds[2] + bounds[3])}
	for i := range 4 {
		want.counts[i] = each
	}
	if got := h.Snapshot(); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestLatency(t *testing.T) {
	var r RequestTimes
	r.Counts[0], r.Counts[requestBuckets-1] = 5, 7
	got := r.Latency()
	if len(got.BucketsUS) != 23 || got.BucketsUS[0] != 1 || got.BucketsUS[22] != 4194304 {
		t.Errorf("got bounds %v, want 23 from 1 to 4194304", got.BucketsUS)
	}
	if len(got.Counts) != 24 || got.Counts[0] != 5 || got.Counts[23] != 7 {
		t.Errorf("got counts %v, want 24, the first 5, the last 7", got.Counts)
	}
}
