// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package shellquote turns any string into one word of a POSIX shell script.
//
// It knows /bin/sh and its descendants (dash, bash, ksh, busybox), not csh or
// Windows shells, and it only quotes: it neither splits nor unquotes. All
// functions may be called from any goroutine.
package shellquote

import "strings"

// Quote returns s as exactly one shell word: the shell expands nothing in it
// and hands on the same bytes, whatever quotes, newlines or invalid UTF-8
// they hold. The word is always in single quotes, so it never becomes a
// keyword, an alias, a glob or an assignment. A NUL byte cannot be in a shell
// script at all: the caller must refuse it before, Quote passes it through.
func Quote(s string) string {
	// Nothing is special between single quotes but the quote itself, for
	// which the word is closed, continued with \' and opened again.
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
