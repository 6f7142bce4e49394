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
	const digits, others = "0123456789", "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_"
	return s != "" && !strings.Contains(digits, s[:1]) && strings.Trim(s, others+digits) == ""
}

// printable keeps a hostile key from breaking the one line an error has.
func printable(key string) string {
	if q := strconv.Quote(key); q != `"`+key+`"` || key == "" || strings.ContainsRune(key, ' ') {
		return q
	}
	return key
}

// properName is the parameter, or one that has gone, that key is but for hyphens and
// what stands for them; "" if there is none.
func properName(key string) string {
	bare := strings.NewReplacer("_", "", "-", "", ".", "").Replace
	wanted := bare(key)
	for _, p := range parameters {
		if bare(p.name) == wanted {
			return p.name
		}
	}
	for name := range gone {
		if bare(name) == wanted {
			return name
		}
	}
	return ""
}

// synonyms are what other programs call what a parameter of ours is for.
var synonyms = map[string]string{"fs": "type", "fstype": "type", "filesystem": "type", "format": "type"}

// didYouMean names the parameter of ours that was most likely meant by key, as the end of
// an error message, or gives "".
func didYouMean(key string) string {
	p := nearest(key)
	if p == "" {
		p = synonyms[strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(key))]
	}
	if p == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s=?", p)
}

// nearest is the parameter of ours that key is most likely a slip of, or "".
func nearest(key string) string {
	folded := strings.ToLower(strings.NewReplacer("_", "-", ".", "-").Replace(key))
	for slips := range 3 {
		for _, p := range parameters {
			// Two slips in a four-letter word make another word: site is not size.
			if slips == 2 && len(p.name) < 6 {
				continue
			}
			if within(slips, folded, p.name) {
				return p.name
			}
		}
	}
	return ""
}

// within reports whether at most so many slips make b of a. A slip is a letter too
// many, one too few, a wrong one, or two neighbours in the wrong order.
func within(slips int, a, b string) bool {
	for a != "" && b != "" && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	if slips == 0 || a == "" || b == "" {
		return len(a)+len(b) <= slips
	}
	swapped := len(a) > 1 && len(b) > 1 && a[0] == b[1] && a[1] == b[0]
	return within(slips-1, a[1:], b) || within(slips-1, a, b[1:]) || within(slips-1, a[1:], b[1:]) ||
		swapped && within(slips-1, a[2:], b[2:])
}
