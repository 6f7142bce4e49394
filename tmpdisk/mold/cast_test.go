// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mold

import (
	"bytes"
	"testing"
)

func TestAfterAShortWrite(t *testing.T) {
	cases := []struct {
		name string
		n    int
		want string
	}{
		{"a part of the first", 2, "cdefghi"},
		{"all of the first", 3, "defghi"},
		{"into the second", 4, "efghi"},
		{"two", 6, "ghi"},
		{"all but a byte", 8, "i"},
		{"all", 9, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			segments := [][]byte{[]byte("abc"), []byte("def"), nil, []byte("ghi")}
			if got := bytes.Join(after(segments, c.n), nil); string(got) != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}
