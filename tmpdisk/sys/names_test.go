// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import "testing"

// Names of files are made of it, which a later version must find again.
func TestFieldHash(t *testing.T) {
	tests := []struct {
		name string
		hash FieldHash
		want string
	}{
		{"a session's", NewFieldHash("nbdkit-tmpdisk session 1", "e", "a", ""),
			"4a52474fbdcc198f744abe457d87d081fa3b97b2432a28b776802b4dd3df560a"},
		{"the begin of a template's", NewFieldHash("nbdkit-tmpdisk template 1", "", "uid", "0", ""),
			"43fa6c916e24333a95d7848e955eb7e1acd5ccfefa177190e069adb6a51dc87f"},
	}
	for _, tt := range tests {
		if got := tt.hash.String(); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestFieldHashTellsFieldsApart(t *testing.T) {
	seen := map[string]int{}
	for i, lists := range [][][]string{
		{{"a", "b"}}, {{"ab"}}, {{"a"}, {"b"}}, {{"ab", ""}}, {{"", "ab"}}, {{"a", "b", ""}}, {{}}, {{""}},
	} {
		h := NewFieldHash()
		for _, l := range lists {
			h.AddList(l...)
		}
		if j, ok := seen[h.String()]; ok {
			t.Errorf("got one hash for lists %d and %d", i, j)
		}
		seen[h.String()] = i
	}
}

func TestIsRandomName(t *testing.T) {
	const name = "0123456789abcdef0123"
	tests := []struct {
		name string
		want bool
	}{
		{RandomName(), true},
		{name, true},
		{"", false},
		{name[1:], false},
		{name + "4", false},
		{name + "\n", false},
		{"\n" + name, false},
		{"g" + name[1:], false},
		{name[1:] + "g", false},
		{name[:10] + "A" + name[11:], false},
		{name[:10] + "/" + name[11:], false},
		{name[:10] + "\u00e4" + name[12:], false},
	}
	for _, tt := range tests {
		if got := IsRandomName(tt.name); got != tt.want {
			t.Errorf("%q: got %v, want %v", tt.name, got, tt.want)
		}
	}
}

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
