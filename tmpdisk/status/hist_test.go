// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package status

import (
	"sync"
	"testing"
	"time"
)

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
