// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestTemplateParameters(t *testing.T) {
	dir := t.TempDir()
	tests := []struct {
		name  string
		pairs []string
		want  []string // nil if nothing is wrong
	}{
		{"a directory", []string{"template-dir", dir}, nil},
		{"no directory", []string{"template-dir", ""}, []string{"template-dir: empty"}},
		{"keep", []string{"template-keep", "7d"}, []string{"parameter template-keep: ", "no such parameter any more", "30 days"}},
		{"uuid", []string{"template-uuid", "new"}, []string{"parameter template-uuid: ", "no such parameter any more", "command=", "mkfs -U"}},
		{"a slip", []string{"template_dir", dir}, []string{"did you mean template-dir=?"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := completed(t, tt.pairs)
			if tt.want != nil {
				testkit.Contains(t, err, tt.want...)
			} else if err != nil {
				t.Errorf("got %v, want no error", err)
			}
		})
	}
}
