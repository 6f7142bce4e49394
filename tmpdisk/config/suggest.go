// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"fmt"
	"strconv"
	"strings"
)

func findParameter(name string) *parameter {
	for i := range parameters {
		if parameters[i].name == name {
			return &parameters[i]
		}
	}
	return nil
}

// isShellName is true of a name that POSIX lets a shell variable have, in
// ASCII whatever the locale.
func isShellName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		letter := c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		digit := c >= '0' && c <= '9'
		if !letter && (!digit || i == 0) {
			return false
		}
	}
	return s != ""
}

// printable keeps a hostile key from breaking the one line an error has.
func printable(key string) string {
	if q := strconv.Quote(key); q != `"`+key+`"` || key == "" || strings.ContainsRune(key, ' ') {
		return q
	}
	return key
}

// didYouMean names the parameter of ours that key is most likely a slip of,
// as the end of an error message, or gives "".
func didYouMean(key string) string {
	folded := strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(key))
	best, bestDistance := "", 3
	for _, p := range parameters {
		// Two slips in a four-letter word make another word: site is not size.
		limit := 2
		if len(p.name) < 6 {
			limit = 1
		}
		if d := editDistance(folded, p.name); d <= limit && d < bestDistance {
			best, bestDistance = p.name, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s=?", best)
}

// editDistance counts the insertions, deletions, replacements and swaps of
// two neighbours that turn a into b (optimal string alignment).
func editDistance(a, b string) int {
	if len(a) > 64 { // no parameter is near; bounds the work on a hostile key
		return len(a)
	}
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}
