// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"errors"
	"testing"
)

func TestCauseLeavesOutRandomNames(t *testing.T) {
	tests := []struct{ name, err, want string }{
		{"plain", "command: exit code 1", "command: exit code 1"},
		{"path", "open: /tmp/nbdkit-tmpdisk-0123456789abcdef0123/disk: no such file",
			"open: /tmp/nbdkit-tmpdisk-/disk: no such file"},
		{"twice", "nbdkit-tmpdisk-0123456789abcdef0123 nbdkit-tmpdisk-3210fedcba9876543210",
			"nbdkit-tmpdisk- nbdkit-tmpdisk-"},
		{"too short", "nbdkit-tmpdisk-0123", "nbdkit-tmpdisk-0123"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := causeOf(errors.New(tt.err)); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
