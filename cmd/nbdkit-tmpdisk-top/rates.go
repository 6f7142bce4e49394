// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"math"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// quiet is longer than a server waits before it writes what has changed: if there
// is no new document, nothing has happened.
const quiet = 3 * time.Second

// rates are bytes and requests in a second, or unknown.
type rates struct {
	read, reads, written, writes int64
}

const unknown = -1

var noRates = rates{unknown, unknown, unknown, unknown}

// A history has the last reading of each file.
type history map[string]*reading

// add gives the readings their rates, and keeps them in place of the older ones.
func (h *history) add(readings []*reading, now time.Time) {
	next := history{}
	for _, r := range readings {
		next[r.path] = r
		before := (*h)[r.path]
		if before == nil || !sameServer(before.document.Server, r.document.Server) {
			continue
		}
		elapsed := r.document.Server.Written.Sub(before.document.Server.Written)
		switch {
		case elapsed > 0:
			r.rates = ratesBetween(before.document.Disks, r.document.Disks, elapsed)
		case elapsed == 0 && now.Sub(r.document.Server.Written) > quiet:
			r.rates = ratesBetween(r.document.Disks, r.document.Disks, quiet)
		case elapsed == 0:
			r.rates = before.rates
		}
	}
	*h = next
}

func sameServer(a, b status.Server) bool {
	return a.PID == b.PID && a.Started.Equal(b.Started)
}

// ratesBetween has rates for the disks that are in both.
func ratesBetween(old, new []status.Disk, elapsed time.Duration) map[int64]rates {
	before := make(map[int64]*status.Disk, len(old))
	for i := range old {
		before[old[i].Number] = &old[i]
	}
	all := make(map[int64]rates, len(new))
	for i := range new {
		b, a := before[new[i].Number], &new[i]
		if b == nil {
			continue
		}
		all[a.Number] = rates{
			read:    rate(b.Read.Bytes, a.Read.Bytes, elapsed),
			reads:   rate(b.Read.Requests, a.Read.Requests, elapsed),
			written: rate(b.Written.Bytes, a.Written.Bytes, elapsed),
			writes:  rate(b.Written.Requests, a.Written.Requests, elapsed),
		}
	}
	return all
}

// rate is unknown if a counter went back.
func rate(before, after int64, elapsed time.Duration) int64 {
	if after < before {
		return unknown
	}
	return int64(math.Round(float64(after-before) / elapsed.Seconds()))
}
