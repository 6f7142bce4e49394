// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

func TestRates(t *testing.T) {
	disk := func(number, n int64) status.Disk {
		return status.Disk{Number: number,
			Read: status.Count{Bytes: 4096 * n, Requests: n}, Written: status.Count{Bytes: 512 * n, Requests: 2 * n}}
	}
	first := func() *reading { return fresh("lab", disk(1, 100), disk(2, 100)) }
	// later is the same server's document, written after so long.
	later := func(after time.Duration, disks ...status.Disk) *reading {
		r := fresh("lab", disks...)
		r.document.Server.Written = now.Add(after)
		return r
	}
	another := later(time.Second, disk(1, 200))
	another.document.Server.Started = now
	none := rates{}
	tests := []struct {
		name string
		next *reading
		at   time.Duration // when it is read
		disk int64
		want rates
	}{
		{"a second", later(time.Second, disk(1, 150)), time.Second, 1, rates{4096 * 50, 50, 512 * 50, 100}},
		{"by the time of writing, not of reading", later(10*time.Second, disk(1, 150)), time.Second, 1,
			rates{4096 * 5, 5, 512 * 5, 10}},
		{"fractions", later(1500*time.Millisecond, disk(1, 103)), time.Second, 1, rates{8192, 2, 1024, 4}},
		{"nothing done", later(time.Second, disk(1, 100)), time.Second, 1, none},
		{"a new disk", later(time.Second, disk(1, 100), disk(3, 50)), time.Second, 3, noRates},
		{"a counter that went back", later(time.Second, disk(1, 99)), time.Second, 1, noRates},
		{"another server", another, time.Second, 1, noRates},
		{"no new document yet", first(), time.Second, 1, noRates},
		{"no new document for long", first(), quiet + time.Second, 1, none},
		{"an older document", later(-time.Second, disk(1, 200)), time.Second, 1, noRates},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var h history
			h.add([]*reading{first()}, now)
			readings := []*reading{test.next}
			h.add(readings, now.Add(test.at))
			got := map[int64]rates{}
			for _, r := range rowsOf(readings, now) {
				got[r.Number] = r.rates
			}
			if got, ok := got[test.disk]; !ok || got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestRatesStayUntilTheNextDocument(t *testing.T) {
	disk := status.Disk{Number: 1}
	var h history
	h.add([]*reading{fresh("lab", disk)}, now)
	disk.Read.Bytes = 1000
	for i := range 3 {
		r := fresh("lab", disk)
		r.document.Server.Written = now.Add(time.Second)
		h.add([]*reading{r}, now.Add(time.Second+time.Duration(i)*time.Second))
		if got := r.rates[1].read; got != 1000 {
			t.Errorf("reading %d: got %d bytes a second, want 1000", i, got)
		}
	}
}

func TestHistoryForgetsServers(t *testing.T) {
	var h history
	h.add([]*reading{fresh("a"), fresh("b")}, now)
	h.add([]*reading{fresh("b")}, now)
	if len(h) != 1 {
		t.Errorf("got %d servers, want 1", len(h))
	}
}
