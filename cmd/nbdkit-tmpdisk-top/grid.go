// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
)

// A view is what the user has chosen.
type view struct {
	sort    int // index of a column
	reverse bool
	top     int // rows above the first that is shown
}

// falling tells whether the largest come first.
func (v view) falling() bool { return columns[v.sort].falling != v.reverse }

// order sorts rows, those that are equal by server and number, so that none moves
// without a reason.
func (v view) order(rows []row) {
	compare := columns[v.sort].compare
	slices.SortStableFunc(rows, func(a, b row) int {
		c := compare(a, b)
		if v.falling() {
			c = -c
		}
		return cmp.Or(c, strings.Compare(a.from.path, b.from.path), cmp.Compare(a.Number, b.Number))
	})
}

// A grid has a cell for each column of each row, and a title for each column.
type grid struct {
	titles []string
	cells  [][]string // by row, then by column
	widths []int
	empty  []bool // the column has no value at all
}

// newGrid makes the cells. No cell of text is wider than limit characters.
func newGrid(rows []row, limit int) *grid {
	n := len(columns)
	g := &grid{titles: make([]string, n), widths: make([]int, n), empty: make([]bool, n)}
	for i, c := range columns {
		g.titles[i] = strings.ToUpper(c.name)
		g.widths[i] = len(g.titles[i])
		g.empty[i] = !c.right
	}
	for _, r := range rows {
		line := make([]string, n)
		for i, c := range columns {
			line[i] = cut(c.cell(r), limit)
			g.widths[i] = max(g.widths[i], utf8.RuneCountInString(line[i]))
			g.empty[i] = g.empty[i] && line[i] == "-"
		}
		g.cells = append(g.cells, line)
	}
	return g
}

// mark lets the title of the column to sort by point to where the larger values are.
func (g *grid) mark(v view) {
	mark := "^"
	if v.falling() {
		mark = "v"
	}
	g.titles[v.sort] += mark
	g.widths[v.sort] = max(g.widths[v.sort], len(g.titles[v.sort]))
}

// gap is between two columns, and in no cell.
const gap = "  "

// fit chooses the columns for a terminal of this width: always the one to sort by,
// then those of the lowest rank that there is room for, and empty ones last.
func (g *grid) fit(width int, v view, several bool) []int {
	rank := func(i int) int {
		switch {
		case i == v.sort:
			return 0
		case g.empty[i], columns[i].name == "server" && !several:
			return columns[i].rank + len(columns)
		}
		return columns[i].rank
	}
	byRank := make([]int, len(columns))
	for i := range byRank {
		byRank[i] = i
	}
	slices.SortFunc(byRank, func(a, b int) int { return cmp.Compare(rank(a), rank(b)) })
	var shown []int
	for _, i := range byRank {
		if need := g.widths[i]; len(shown) == 0 || need <= width {
			width -= need + len(gap)
			shown = append(shown, i)
		}
	}
	slices.Sort(shown)
	return shown
}

// line aligns the cells of the columns that are shown.
func (g *grid) line(cells []string, shown []int) string {
	var b strings.Builder
	for n, i := range shown {
		if n > 0 {
			b.WriteString(gap)
		}
		fill := strings.Repeat(" ", g.widths[i]-utf8.RuneCountInString(cells[i]))
		switch {
		case columns[i].right:
			b.WriteString(fill + cells[i])
		case n == len(shown)-1:
			b.WriteString(cells[i])
		default:
			b.WriteString(cells[i] + fill)
		}
	}
	return b.String()
}
