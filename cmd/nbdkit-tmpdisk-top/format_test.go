// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"math"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSizes(t *testing.T) {
	for _, test := range []struct {
		n           int64
		size, count string
	}{
		{0, "0", "0"}, {1, "1", "1"}, {999, "999", "999"}, {1000, "1.0K", "1.0k"}, {1023, "1.0K", "1.0k"},
		{1024, "1.0K", "1.0k"}, {4096, "4.0K", "4.1k"}, {10188, "9.9K", "10k"}, {10190, "10K", "10k"},
		{1 << 20, "1.0M", "1.0M"}, {1023 << 10, "1.0M", "1.0M"}, {999 << 10, "999K", "1.0M"}, {1023490, "1.0M", "1.0M"}, {999501, "976K", "1.0M"},
		{16 << 30, "16G", "17G"}, {3 << 39, "1.5T", "1.6T"}, {math.MaxInt64, "8.0E", "9.2E"}, {-5, "-5", "-5"},
	} {
		if got := size(test.n); got != test.size {
			t.Errorf("size(%d): got %s, want %s", test.n, got, test.size)
		}
		if got := count(test.n); got != test.count {
			t.Errorf("count(%d): got %s, want %s", test.n, got, test.count)
		}
	}
	for n := int64(1); n > 0 && n < math.MaxInt64/3; n = n*3/2 + 1 {
		if len(size(n)) > 4 || len(count(n)) > 4 {
			t.Errorf("%d: got %s and %s, want four characters at most", n, size(n), count(n))
		}
	}
}

func TestDurations(t *testing.T) {
	for seconds, want := range map[int64]string{
		-5: "0s", 0: "0s", 59: "59s", 60: "1m", 3599: "59m", 3600: "1h00m", 86399: "23h59m",
		86400: "1d00h", 100*86400 - 1: "99d23h", 100 * 86400: "100d",
	} {
		if got := duration(seconds); got != want {
			t.Errorf("%d: got %s, want %s", seconds, got, want)
		}
	}
}

// hostile is what must not reach a terminal.
var hostile = []struct{ name, text, want string }{
	{"plain", "CN=seat 7,O=Lab", "CN=seat 7,O=Lab"},
	{"letters", "Jürgen Ωμέγα Жук", "Jürgen Ωμέγα Жук"},
	{"empty", "", "-"},
	{"spaces", "  a   b ", "a b"},
	{"escape sequence", "\x1b[2Jx", "?[2Jx"},
	{"title", "\x1b]0;x\x07", "?]0;x?"},
	{"C1 control", "\u009b31m", "?31m"},
	{"delete", "a\x7fb", "a?b"},
	{"lines", "a\nb\r\tc", "a?b??c"},
	{"NUL", "\x00", "?"},
	{"wide", "漢字", "??"},
	{"full width Latin", "Ａ", "?"},
	{"emoji", "👩\u200d💻", "???"},
	{"right to left", "אב", "??"},
	{"override", "\u202egnp", "?gnp"},
	{"combining", "e\u0301", "e?"},
	{"no-break space", "a\u00a0b", "a?b"},
	{"line separator", "a\u2028b", "a?b"},
	{"not UTF-8", "a\xffb", "a?b"},
}

func TestClean(t *testing.T) {
	for _, test := range hostile {
		t.Run(test.name, func(t *testing.T) {
			if got := clean(test.text); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestCut(t *testing.T) {
	for _, test := range []struct {
		text  string
		width int
		want  string
	}{{"abcd", 4, "abcd"}, {"abcde", 4, "abc~"}, {"Ωμέγα", 3, "Ωμ~"}, {"ab", 1, "~"}, {"ab", 0, ""}, {"", 0, ""}} {
		if got := cut(test.text, test.width); got != test.want {
			t.Errorf("cut(%q, %d): got %q, want %q", test.text, test.width, got, test.want)
		}
	}
}

func FuzzClean(f *testing.F) {
	for _, test := range hostile {
		f.Add(test.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := clean(text)
		if got == "" || strings.Contains(got, "  ") || strings.Trim(got, " ") != got || !utf8.ValidString(got) {
			t.Errorf("%q: got %q", text, got)
		}
		for _, c := range got {
			if c < ' ' || c >= 0x7f && c < 0xa0 || c >= 0x2000 {
				t.Errorf("%q: got %q, which has %U", text, got, c)
			}
		}
	})
}
