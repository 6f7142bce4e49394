// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
	"unicode/utf16"
	"unicode/utf8"
)

// printOnce prints what --once and --json ask for, and on stderr what is missing or
// stale. It returns the exit status.
func printOnce(o options, now time.Time, stdout, stderr io.Writer) int {
	readings := readAll(o.paths, now)
	out := bufio.NewWriter(stdout)
	var err error
	if o.json {
		err = printJSON(readings, out)
	} else {
		printTable(readings, o.view, now, out)
	}
	if failed := out.Flush(); err == nil {
		err = failed
	}
	code := 0
	for _, r := range readings {
		if r.err != nil {
			fmt.Fprintf(stderr, "%s: %s\n", program, clean(r.err.Error()))
			code = 1
		} else if r.stale != "" {
			fmt.Fprintf(stderr, "%s: %s: stale: %s\n", program, clean(r.path), r.stale)
		}
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s: write: %s\n", program, err)
		code = 1
	}
	return code
}

// printTable writes comments about the servers and all disks, then all columns.
func printTable(readings []*reading, v view, now time.Time, out io.Writer) {
	rows := rowsOf(readings, now)
	v.order(rows)
	for _, line := range headings(readings, math.MaxInt) {
		fmt.Fprintln(out, "#", line)
	}
	fmt.Fprintln(out, "#", totals(rows))
	g := newGrid(rows, math.MaxInt)
	all := make([]int, len(columns))
	for i := range all {
		all[i] = i
	}
	for _, cells := range append([][]string{g.titles}, g.cells...) {
		fmt.Fprintln(out, g.line(cells, all))
	}
}

// passed is an element of what --json prints.
type passed struct {
	File   string          `json:"file"`
	Stale  string          `json:"stale,omitempty"` // why the status may no longer be true
	Status json.RawMessage `json:"status"`          // as it is in the file
}

func printJSON(readings []*reading, out io.Writer) error {
	all := []passed{}
	for _, r := range readings {
		if r.err == nil {
			all = append(all, passed{r.path, r.stale, r.raw})
		}
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := out.Write(escapeJSON(text.Bytes()))
	return err
}

// escapeJSON escapes what cannot be seen, such as marks that turn the direction of
// writing round: in JSON all of that is in strings. The newline at the end stays.
func escapeJSON(text []byte) []byte {
	var escaped []byte
	for _, r := range string(text) {
		if strconv.IsPrint(r) || r == '\n' {
			escaped = utf8.AppendRune(escaped, r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			escaped = fmt.Appendf(escaped, `\u%04x`, unit)
		}
	}
	return escaped
}
