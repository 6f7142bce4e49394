// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package logs

import "testing"

func TestFault(t *testing.T) {
	var f Fault
	for i, step := range []struct {
		what  string // "" ends it
		want  bool
		lasts bool
	}{
		{"", false, false},
		{"full", true, true},
		{"full", false, true},
		{"read-only", true, true},
		{"full", true, true},
		{"", true, false},
		{"", false, false},
		{"full", true, true},
	} {
		got := step.what == "" && f.Ends() || step.what != "" && f.Begins(step.what)
		if got != step.want || f.Lasts() != step.lasts {
			t.Errorf("step %d, %q: got %v, lasts %v, want %v, %v", i, step.what, got, f.Lasts(), step.want, step.lasts)
		}
	}
}
