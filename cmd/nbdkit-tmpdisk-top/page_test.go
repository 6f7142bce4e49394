// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

func TestHeadings(t *testing.T) {
	stale := fresh("old")
	stale.stale = "process 1 is gone"
	broken := &reading{path: "x", err: errors.New("open x:\nno\x1b")}
	named := fresh("file")
	named.document.Server.Name = ""
	for i := range 2 {
		named.document.Disks = append(named.document.Disks, status.Disk{Number: int64(i)})
	}
	named.document.Server.Making, named.document.Server.ClientsWaiting, named.document.Server.Commands = 3, 4, 5
	const rest = "  pid %d  up 1h00m  free 1.0G of 4.0G  making 0  waiting 0  commands 0  spares 5  disks 0"
	tests := []struct {
		name     string
		readings []*reading
		limit    int
		want     []string
	}{
		{"none", nil, 5, []string{"no status files"}},
		{"one", []*reading{fresh("lab")}, 5, []string{"lab 1.2.3" + fmt.Sprintf(rest, fresh("").document.Server.PID)}},
		{"numbers", []*reading{named}, 5, []string{"making 3  waiting 4  commands 5  spares 5  disks 2"}},
		{"called like its file", []*reading{named}, 5, []string{"file 1.2.3"}},
		{"wrong ones first", []*reading{fresh("a"), stale, broken}, 5,
			[]string{"STALE, process 1 is gone: old 1.2.3", "open x:?no?", "a 1.2.3"}},
		{"too many", []*reading{fresh("a"), fresh("b"), fresh("c"), broken}, 3,
			[]string{"open x", "a 1.2.3", "4 servers in all"}},
		{"room for one", []*reading{fresh("a"), broken}, 1, []string{"2 servers in all"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := headings(test.readings, test.limit)
			if len(got) != len(test.want) {
				t.Fatalf("got %q, want %d lines", got, len(test.want))
			}
			for i, want := range test.want {
				if !strings.Contains(got[i], want) {
					t.Errorf("got %q, want %q", got[i], want)
				}
			}
		})
	}
}

func TestTotals(t *testing.T) {
	want := "disks 3  connected 1  waiting 1  fenced 1  size 21  alloc 6  read 6, 3/s  written 6, 5/s"
	if got := totals(sample()); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	want = "disks 0  size 0  alloc 0  read 0  written 0"
	if got := totals(nil); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// many is a server with n disks.
func many(n int) []*reading {
	var disks []status.Disk
	for i := range n {
		disks = append(disks, status.Disk{Number: int64(i + 1), Peer: hostile[i%len(hostile)].text, State: "connected"})
	}
	return []*reading{fresh("lab", disks...), fresh("other")}
}

func TestPageFitsEveryTerminal(t *testing.T) {
	readings := many(30)
	rows := rowsOf(readings, now)
	for width := 0; width < 130; width += 3 {
		for height := range 30 {
			v := view{sort: width % len(columns), top: height}
			p := newPage(readings, rows, &v, width, height)
			if want := max(height, 4); len(p.lines) != want {
				t.Fatalf("%dx%d: got %d lines, want %d", width, height, len(p.lines), want)
			}
			for _, line := range p.lines {
				if utf8.RuneCountInString(line) > width {
					t.Fatalf("%dx%d: too long: %q", width, height, line)
				}
			}
			if titles := p.lines[p.title]; width >= 16 && !strings.ContainsAny(titles, "^v") {
				t.Fatalf("%dx%d: the column to sort by is not among %q", width, height, titles)
			}
		}
	}
}

func TestScrolling(t *testing.T) {
	readings := many(20)
	rows := rowsOf(readings, now)
	tests := []struct {
		name        string
		top, height int
		wantTop     int
		first, help string
	}{
		{"at the top", 0, 10, 0, "1", "1-5 of 20  q quit"},
		{"above the top", -3, 10, 0, "1", "1-5 of 20  q quit"},
		{"in the middle", 7, 10, 7, "8", "8-12 of 20  q quit"},
		{"below the end", 99, 10, 15, "16", "16-20 of 20  q quit"},
		{"all fit", 5, 40, 0, "1", "q quit"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := view{top: test.top}
			p := newPage(readings, rows, &v, 80, test.height)
			first := strings.Fields(p.lines[p.title+1])[0]
			help := p.lines[len(p.lines)-1]
			if v.top != test.wantTop || first != test.first || !strings.HasPrefix(help, test.help) {
				t.Errorf("got top %d, first disk %s, help %q; want %d, %s, %q",
					v.top, first, help, test.wantTop, test.first, test.help)
			}
		})
	}
}
