// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"math"
)

// plot draws, for every quantity that the C plugin has too, how many times the
// C plugin's ours is: a dot for the median and a line from the lowest to the
// highest round, on a logarithmic scale on which the C plugin is the line at 1.
func (r *report) plot() []byte {
	const left, right, top, row, width = 260, 90, 56, 20, 900
	type line struct {
		label, server string
		s             spread
	}
	var lines []line
	low, high := 0.5, 2.0
	for _, s := range r.all {
		switch s.unit {
		case "threads", "makers at once", "disks/s", "served", "s", "PSS, MiB", "descriptors", "mappings":
			continue // a count, or one of unlike numbers of clients
		}
		for _, server := range s.order {
			x := s.ratio(server, peerC)
			if server == peerC || server == memory || !(x.min > 0) {
				continue
			}
			label := s.scenario + ", " + s.unit
			if server != ours && server != spares { // which have colours
				label += ", " + server
			}
			lines = append(lines, line{label, server, x})
			low, high = min(low, x.min), max(high, x.max)
		}
	}
	first, last := math.Floor(math.Log10(low)), math.Ceil(math.Log10(high))
	at := func(x float64) float64 {
		return left + (math.Log10(x)-first)/(last-first)*(width-left-right)
	}
	height := top + row*len(lines) + 30
	colour := map[string]string{ours: "#1f5fa8", spares: "#2a8c4a"}

	var b bytes.Buffer
	text := func(x, y float64, anchor, fill, s string) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="%s" fill="%s">`, x, y, anchor, fill)
		xml.EscapeText(&b, []byte(s))
		b.WriteString("</text>\n")
	}
	stroke := func(x1, y1, x2, y2 float64, colour string, w float64) {
		fmt.Fprintf(&b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="%g"/>`+"\n", x1, y1, x2, y2, colour, w)
	}
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="sans-serif" font-size="12">`+"\n", width, height)
	fmt.Fprintf(&b, `<rect width="%d" height="%d" fill="white"/>`+"\n", width, height)
	text(left, 18, "start", "black", "times the C plugin's (left of 1 is better): median, lowest and highest round")
	text(left, 36, "start", colour[ours], "● tmpdisk")
	text(left+90, 36, "start", colour[spares], "● tmpdisk with spare-disks")
	bottom := float64(top + row*len(lines))
	for e := first; e <= last; e++ {
		x := math.Pow(10, e)
		stroke(at(x), top-6, at(x), bottom, "#cccccc", 1)
		text(at(x), bottom+16, "middle", "black", fmt.Sprintf("%g", x))
	}
	stroke(at(1), top-6, at(1), bottom, "#b03030", 2)
	for i, l := range lines {
		y := float64(top+row*i) + row/2
		text(left-10, y+4, "end", "black", l.label)
		stroke(at(l.s.min), y, at(l.s.max), y, colour[l.server], 2)
		fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/>`+"\n", at(l.s.median), y, colour[l.server])
		text(width-right+10, y+4, "start", colour[l.server], number(l.s.median))
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}
