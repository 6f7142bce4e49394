// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"slices"
	"testing"
	"time"
)

func TestBackoff(t *testing.T) {
	tests := []struct {
		name        string
		first, last time.Duration
		want        []time.Duration
	}{
		{"a second to a minute", 1, 60, []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60}},
		{"powers of two", 1, 4, []time.Duration{1, 2, 4, 4}},
		{"one length", 5, 5, []time.Duration{5, 5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := Backoff{First: tt.first, Last: tt.last}
			var got []time.Duration
			for range tt.want {
				got = append(got, b.Next())
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
