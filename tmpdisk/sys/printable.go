// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Printable is text with all that cannot be seen escaped as in a Go string: control
// characters and newlines, so that it forges no line of a log and steers no terminal;
// marks that turn the direction of writing round; and what is not UTF-8.
func Printable(text string) string {
	var out strings.Builder
	for len(text) > 0 {
		r, n := utf8.DecodeRuneInString(text)
		if strconv.IsPrint(r) && (r != utf8.RuneError || n > 1) {
			out.WriteString(text[:n])
		} else {
			quoted := strconv.Quote(text[:n])
			out.WriteString(quoted[1 : len(quoted)-1])
		}
		text = text[n:]
	}
	return out.String()
}
