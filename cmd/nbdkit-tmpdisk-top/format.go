// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// clean makes text from a file fit to be shown: one line without control characters,
// of which every character takes one place and is written from left to right. So
// Latin, Greek and Cyrillic letters stay; what else is not ASCII becomes a question
// mark. The result is never empty and never has two spaces in a row.
func clean(text string) string {
	text = strings.Map(func(c rune) rune {
		switch {
		case c >= ' ' && c <= '~', unicode.IsLetter(c) && unicode.In(c, unicode.Latin, unicode.Greek, unicode.Cyrillic) && c < 0x2000:
			return c
		}
		return '?'
	}, text)
	if text = strings.Join(strings.Fields(text), " "); text == "" {
		return "-"
	}
	return text
}

// cut shortens text to width characters.
func cut(text string, width int) string {
	if c := []rune(text); len(c) > width {
		return string(c[:max(0, width-1)]) + "~"[:min(1, width)]
	}
	return text
}

// size writes bytes in at most four characters, in powers of 1024.
func size(bytes int64) string { return short(bytes, 1024, "KMGTPE") }

// count writes a number in at most four characters, in powers of 1000.
func count(n int64) string { return short(n, 1000, "kMGTPE") }

func short(n int64, base float64, units string) string {
	value, unit := float64(n), -1
	for ; value >= 999.5; value /= base {
		unit++
	}
	switch {
	case unit < 0:
		return strconv.FormatInt(n, 10)
	case value < 9.95:
		return fmt.Sprintf("%.1f%c", value, units[unit])
	}
	return fmt.Sprintf("%.0f%c", value, units[unit])
}

// duration writes seconds, in at most six characters for some centuries. There are
// none below zero.
func duration(seconds int64) string {
	seconds = max(0, seconds)
	minutes, hours := seconds/60, seconds/3600
	switch {
	case minutes == 0:
		return fmt.Sprintf("%ds", seconds)
	case hours == 0:
		return fmt.Sprintf("%dm", minutes)
	case hours < 24:
		return fmt.Sprintf("%dh%02dm", hours, minutes%60)
	case hours < 100*24:
		return fmt.Sprintf("%dd%02dh", hours/24, hours%24)
	}
	return fmt.Sprintf("%dd", hours/24)
}
