// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import "testing"

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
