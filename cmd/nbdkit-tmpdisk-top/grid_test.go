// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// sample is three rows in which every column has another order. The comments have the
// numbers in the order of the column.
func sample() []row {
	at := func(seconds int) *time.Time { t := now.Add(-time.Duration(seconds) * time.Second); return &t }
	count := func(bytes, requests int64) status.Count { return status.Count{Bytes: bytes, Requests: requests} }
	a := fresh("a",
		status.Disk{Number: 3, Export: "swap", Peer: "address 192.0.2.10", DN: "CN=b", State: "waiting",
			Size: 5, Allocated: 3, Read: count(1, 9), Written: count(3, 1), Last: at(10), Since: *at(9), Session: "b"},
		status.Disk{Number: 1, Export: "win", Peer: "user 1000", DN: "CN=a", State: "fenced",
			Size: 9, Allocated: 1, Read: count(2, 8), Written: count(2, 2), Since: *at(8), Session: "c"})
	b := fresh("b",
		status.Disk{Number: 2, Peer: "address 192.0.2.9", DN: "CN=c", State: "connected",
			Size: 7, Allocated: 2, Read: count(3, 7), Written: count(1, 3), Last: at(20), Since: *at(7), Session: "a"})
	rows := rowsOf([]*reading{a, b}, now)
	rows[0].rates = rates{1, 2, 3, 1}
	rows[2].rates = rates{2, 1, 2, 3}
	return rows
}

func numbers(rows []row) string {
	var all []string
	for _, r := range rows {
		all = append(all, fmt.Sprint(r.Number))
	}
	return strings.Join(all, "")
}

func TestOrder(t *testing.T) {
	tests := map[string]string{
		"disk": "123", "server": "132", "export": "231", "peer": "231", "dn": "132", "state": "213",
		"size": "123", "alloc": "321", "read": "213", "read/s": "231", "reads": "312", "reads/s": "321",
		"written": "312", "write/s": "321", "writes": "213", "writes/s": "231", "idle": "231",
		"since": "312", "session": "231",
	}
	for i, c := range columns {
		t.Run(c.name, func(t *testing.T) {
			want, ok := tests[c.name]
			if !ok {
				t.Fatal("no order is expected of this column")
			}
			for _, reverse := range []bool{false, true} {
				rows := sample()
				view{sort: i, reverse: reverse}.order(rows)
				got := numbers(rows)
				if reverse && c.name == "server" {
					want = "213" // equal ones stay in the order of their numbers
				} else if reverse {
					w := []byte(want)
					slices.Reverse(w)
					want = string(w)
				}
				if got != want {
					t.Errorf("reverse %v: got %s, want %s", reverse, got, want)
				}
			}
		})
	}
}

func TestEqualRowsByServer(t *testing.T) {
	rows := rowsOf([]*reading{fresh("b", status.Disk{}), fresh("a", status.Disk{})}, now)
	view{sort: columnNamed("size")}.order(rows)
	if got := rows[0].from.name(); got != "a" {
		t.Errorf("got %s first, want a", got)
	}
}

func TestPeersInOrder(t *testing.T) {
	want := []string{"address 9.0.0.1", "address 192.0.2.1", "address 192.0.2.10", "address 2001:db8::1",
		"", "address nonsense", "user 1000", "vsock 3"}
	peers := slices.Clone(want)
	slices.Sort(peers)
	slices.SortFunc(peers, func(a, b string) int {
		return comparePeers(row{Disk: &status.Disk{Peer: a}}, row{Disk: &status.Disk{Peer: b}})
	})
	if !slices.Equal(peers, want) {
		t.Errorf("got %q, want %q", peers, want)
	}
}

func TestCells(t *testing.T) {
	r := sample()[0]
	r.from.stale = "process 1 is gone"
	for name, want := range map[string]string{
		"disk": "3", "server": "a", "peer": "192.0.2.10", "state": "waiting?", "size": "5", "read/s": "1",
		"idle": "10s", "since": now.Add(-9 * time.Second).Local().Format("2006-01-02 15:04:05"),
	} {
		if got := columns[columnNamed(name)].cell(r); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	empty := row{Disk: &status.Disk{}, from: &reading{}, rates: noRates, now: now}
	for _, name := range []string{"export", "peer", "dn", "state", "read/s", "writes/s", "idle", "since", "session"} {
		if got := columns[columnNamed(name)].cell(empty); got != "-" {
			t.Errorf("%s of an empty disk: got %q, want -", name, got)
		}
	}
}

func TestFit(t *testing.T) {
	bare := sample()
	for i := range bare {
		disk := *bare[i].Disk
		disk.DN, disk.Session = "", ""
		bare[i].Disk = &disk
	}
	tests := []struct {
		name    string
		rows    []row
		sort    string
		width   int
		several bool
		want    string
	}{
		{"wide", sample(), "disk", 300, true, columnNames()},
		{"nothing to see", nil, "disk", 300, true, columnNames()},
		{"80", sample(), "disk", 80, true, "disk, server, export, peer, dn, state, alloc, read/s, write/s, idle"},
		{"one server", sample(), "disk", 72, false, "disk, export, peer, dn, state, alloc, read/s, write/s, idle"},
		{"no certificates", bare, "disk", 68, false, "disk, export, peer, state, alloc, read/s, write/s, idle"},
		{"40", sample(), "disk", 38, false, "disk, peer, dn, state"},
		{"40 by what is not important", sample(), "writes", 40, false, "disk, peer, state, writes"},
		{"one column", sample(), "session", 1, false, "session"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := view{sort: columnNamed(test.sort)}
			g := newGrid(test.rows, 24)
			g.mark(v)
			shown := g.fit(test.width, v, test.several)
			var got []string
			for _, i := range shown {
				got = append(got, columns[i].name)
			}
			if got := strings.Join(got, ", "); got != test.want {
				t.Errorf("got %s\nwant %s", got, test.want)
			}
			if line := g.line(g.titles, shown); len(line) > test.width && len(shown) > 1 {
				t.Errorf("got %d characters, want %d: %s", len(line), test.width, line)
			}
		})
	}
}

func TestTitleTellsTheOrder(t *testing.T) {
	for _, test := range []struct {
		sort    string
		reverse bool
		want    string
	}{{"disk", false, "DISK^"}, {"disk", true, "DISKv"}, {"size", false, "SIZEv"}, {"size", true, "SIZE^"}} {
		v := view{sort: columnNamed(test.sort), reverse: test.reverse}
		g := newGrid(nil, 9)
		g.mark(v)
		if got := g.titles[v.sort]; got != test.want {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}
