// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import "testing"

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "",
		`"größe" 5 € \n 日本 \ufffd`: `"größe" 5 € \n 日本 \ufffd`,
		"a\nnbdkit: error: b\r":    `a\nnbdkit: error: b\r`,
		"\x1b[31mred\x00\x7f\t":    `\x1b[31mred\x00\x7f\t`,
		"a\u202egnp.exe\u2066":     `a\u202egnp.exe\u2066`,
		"\u0085\u2028\ufeff":       `\u0085\u2028\ufeff`,
		"cut \xc3":                 `cut \xc3`,
		"a real \ufffd":            "a real \ufffd",
		"\U000e0041":               `\U000e0041`,
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q: got %s, want %s", text, got, want)
		}
	}
}
