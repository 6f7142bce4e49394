// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"strings"

	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// A page is what a terminal shows: lines of text from the top.
type page struct {
	lines []string
	title int // index of the line with the columns' titles
}

const keys = "q quit  left/right column  r reverse  up/down scroll"

// newPage fills a terminal with lines of at most width characters. The rows are in
// order. It moves v.top to where there are rows.
func newPage(readings []*reading, rows []row, v *view, width, height int) page {
	const fixed = 3 // totals, titles and keys
	lines := headings(readings, max(1, (height-fixed)/3))
	lines = append(lines, totals(rows))
	p := page{title: len(lines)}

	g := newGrid(rows, max(16, width/4))
	g.mark(*v)
	shown := g.fit(width, *v, len(readings) > 1)
	lines = append(lines, g.line(g.titles, shown))

	room := max(0, height-len(lines)-1)
	v.top = max(0, min(v.top, len(rows)-room))
	last := min(len(rows), v.top+room)
	for _, cells := range g.cells[v.top:last] {
		lines = append(lines, g.line(cells, shown))
	}
	for range room - (last - v.top) {
		lines = append(lines, "")
	}
	help := keys
	if last-v.top < len(rows) {
		help = fmt.Sprintf("%d-%d of %d  %s", v.top+1, last, len(rows), keys)
	}
	p.lines = append(lines, help)
	for i, line := range p.lines {
		p.lines[i] = cut(line, width)
	}
	return p
}

// headings has a line for each server, first what is wrong. If there are more than
// limit, the last line says how many there are.
func headings(readings []*reading, limit int) []string {
	var wrong, right []string
	for _, r := range readings {
		if line, ok := heading(r); ok {
			right = append(right, line)
		} else {
			wrong = append(wrong, line)
		}
	}
	lines := append(wrong, right...)
	switch {
	case len(readings) == 0:
		lines = []string{"no status files: no server runs with status-file="}
	case len(lines) > limit:
		shown := limit - 1
		lines = append(lines[:shown:shown], fmt.Sprintf("%d servers in all", len(lines)))
	}
	return lines
}

// heading is false if something is wrong.
func heading(r *reading) (string, bool) {
	if r.err != nil {
		return clean(r.err.Error()), false
	}
	server := r.document.Server
	spares := 0
	for _, e := range r.document.Exports {
		spares += e.Spares
	}
	stale := ""
	if r.stale != "" {
		stale = "STALE, " + r.stale + ": "
	}
	return fmt.Sprintf("%s%s %s  pid %d  up %s  free %s of %s  making %d  waiting %d  commands %d  spares %d  disks %d",
		stale, clean(r.name()), clean(server.Version), server.PID,
		duration(int64(server.Written.Sub(server.Started).Seconds())),
		size(server.TmpdirFree), size(server.TmpdirSize),
		server.Making, server.ClientsWaiting, server.Commands, spares, len(r.document.Disks)), r.stale == ""
}

// totals is one line about all disks.
func totals(rows []row) string {
	states := map[string]int{}
	var bytes, allocated, read, written int64
	perSecond := noRates
	for _, r := range rows {
		states[r.State]++
		bytes += r.Size
		allocated += r.Allocated
		read += r.Read.Bytes
		written += r.Written.Bytes
		perSecond.read = sum(perSecond.read, r.rates.read)
		perSecond.written = sum(perSecond.written, r.rates.written)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "disks %d", len(rows))
	for _, s := range []string{status.StateConnected, status.StateWaiting, status.StateFenced, status.StateFailed} {
		if states[s] > 0 {
			fmt.Fprintf(&b, "  %s %d", s, states[s])
		}
	}
	fmt.Fprintf(&b, "  size %s  alloc %s", size(bytes), size(allocated))
	fmt.Fprintf(&b, "  read %s%s", size(read), perSecondText(perSecond.read))
	fmt.Fprintf(&b, "  written %s%s", size(written), perSecondText(perSecond.written))
	return b.String()
}

// sum is unknown if both are.
func sum(a, b int64) int64 {
	if a < 0 || b < 0 {
		return max(a, b)
	}
	return a + b
}

func perSecondText(rate int64) string {
	if rate < 0 {
		return ""
	}
	return ", " + size(rate) + "/s"
}
