// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// A row is a disk and what is known of it from elsewhere.
type row struct {
	*status.Disk
	from *reading
	rates
	now time.Time
}

func rowsOf(readings []*reading, now time.Time) []row {
	var rows []row
	for _, r := range readings {
		for i := range r.document.Disks {
			disk := &r.document.Disks[i]
			known, ok := r.rates[disk.Number]
			if !ok {
				known = noRates
			}
			rows = append(rows, row{disk, r, known, now})
		}
	}
	return rows
}

// A column shows one thing of each row.
type column struct {
	name    string // for --sort; in capitals, the title
	rank    int    // on a narrow terminal the highest goes first
	right   bool   // alignment
	falling bool   // the largest first, unless the user reverses it
	cell    func(row) string
	compare func(a, b row) int
}

var columns = []column{
	{"disk", 1, false, false, number, func(a, b row) int { return cmp.Compare(a.Number, b.Number) }},
	textual("server", 4, func(r row) string { return r.from.name() }),
	textual("export", 6, func(r row) string { return r.Export }),
	{"peer", 2, false, false, func(r row) string { return clean(bare(r.Peer)) }, comparePeers},
	textual("dn", 5, func(r row) string { return r.DN }),
	textual("state", 3, state),
	numeric("size", 11, func(r row) int64 { return r.Size }, size),
	numeric("alloc", 7, func(r row) int64 { return r.Allocated }, size),
	numeric("read", 14, func(r row) int64 { return r.Read.Bytes }, size),
	numeric("read/s", 8, func(r row) int64 { return r.rates.read }, size),
	numeric("reads", 16, func(r row) int64 { return r.Read.Requests }, count),
	numeric("reads/s", 12, func(r row) int64 { return r.rates.reads }, count),
	numeric("written", 15, func(r row) int64 { return r.Written.Bytes }, size),
	numeric("write/s", 9, func(r row) int64 { return r.rates.written }, size),
	numeric("writes", 17, func(r row) int64 { return r.Written.Requests }, count),
	numeric("writes/s", 13, func(r row) int64 { return r.rates.writes }, count),
	numeric("idle", 10, idle, duration),
	textual("since", 18, since),
	textual("session", 19, func(r row) string { return r.Session }),
}

func textual(name string, rank int, value func(row) string) column {
	return column{name, rank, false, false,
		func(r row) string { return clean(value(r)) },
		func(a, b row) int { return strings.Compare(value(a), value(b)) }}
}

// numeric shows a value below zero as unknown.
func numeric(name string, rank int, value func(row) int64, show func(int64) string) column {
	return column{name, rank, true, true,
		func(r row) string {
			if n := value(r); n >= 0 {
				return show(n)
			}
			return "-"
		},
		func(a, b row) int { return cmp.Compare(value(a), value(b)) }}
}

func number(r row) string { return strconv.FormatInt(r.Number, 10) }

// state has a question mark if nobody vouches for it any more.
func state(r row) string {
	if r.from.stale != "" {
		return r.State + "?"
	}
	return r.State
}

func since(r row) string {
	if r.Since.IsZero() {
		return ""
	}
	return r.Since.Local().Format("2006-01-02 15:04:05")
}

func idle(r row) int64 {
	if r.Last == nil {
		return unknown
	}
	return max(0, int64(r.now.Sub(*r.Last).Seconds()))
}

// bare is a peer without the word that an address needs not.
func bare(peer string) string { return strings.TrimPrefix(peer, status.PeerAddress+" ") }

// comparePeers puts addresses first, in their order as numbers.
func comparePeers(a, b row) int {
	x, errX := netip.ParseAddr(bare(a.Peer))
	y, errY := netip.ParseAddr(bare(b.Peer))
	switch {
	case errX == nil && errY == nil:
		return x.Compare(y)
	case errX == nil:
		return -1
	case errY == nil:
		return 1
	}
	return strings.Compare(a.Peer, b.Peer)
}

// columnNamed is the column's index, or -1.
func columnNamed(name string) int {
	return slices.IndexFunc(columns, func(c column) bool { return c.name == strings.ToLower(name) })
}

func columnNames() string {
	var names []string
	for _, c := range columns {
		names = append(names, c.name)
	}
	return strings.Join(names, ", ")
}
