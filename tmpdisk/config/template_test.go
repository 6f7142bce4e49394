// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestTemplateParameters(t *testing.T) {
	dir := t.TempDir()
	tests := []struct {
		name  string
		pairs []string
		want  []string // nil if nothing is wrong
	}{
		{"all", []string{"template-dir", dir, "template-keep", "7d"}, nil},
		{"no directory", []string{"template-dir", ""}, []string{"template-dir: empty"}},
		{"keep of nothing", []string{"template-keep", "7d"}, []string{"template-keep: only works with template-dir="}},
		{"uuid", []string{"template-uuid", "new"}, []string{"parameter template-uuid: ", "no such parameter any more", "command=", "mkfs -U"}},
		{"no keep", []string{"template-keep", ""}, []string{"template-keep: ", "empty"}},
		{"odd keep", []string{"template-keep", "soon"}, []string{"template-keep: ", "soon"}},
		{"no days", []string{"template-keep", "d"}, []string{"template-keep: "}},
		{"negative days", []string{"template-keep", "-3d"}, []string{"template-keep: "}},
		{"many days", []string{"template-keep", "99999999999999999999d"}, []string{"template-keep: ", "too long"}},
		{"too many days", []string{"template-keep", "36501d"}, []string{"template-keep: ", "too long", "36500d"}},
		{"a slip", []string{"template_dir", dir}, []string{"did you mean template-dir=?"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := New(testkit.Host{TB: t})
			err := c.Set("size", "1M")
			for i := 0; i < len(tt.pairs) && err == nil; i += 2 {
				err = c.Set(tt.pairs[i], tt.pairs[i+1])
			}
			if err == nil {
				err = c.Complete()
			}
			if tt.want != nil {
				testkit.Contains(t, err, tt.want...)
			} else if err != nil {
				t.Errorf("got %v, want no error", err)
			}
		})
	}
}

func TestTemplateKeep(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"":       30 * 24 * time.Hour,
		"0":      0,
		"0d":     0,
		"60":     time.Minute,
		"2h":     2 * time.Hour,
		"36500d": 36500 * 24 * time.Hour,
	} {
		c := New(testkit.Host{TB: t})
		if value != "" {
			if err := c.Set("template-keep", value); err != nil {
				t.Errorf("%q: %v", value, err)
			}
		}
		if c.TemplateKeep != want {
			t.Errorf("%q: got %v, want %v", value, c.TemplateKeep, want)
		}
	}
}
