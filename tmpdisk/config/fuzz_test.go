// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"strings"
	"testing"
	"unicode"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// FuzzParameters gives each of our parameters any value: it is taken, or there
// is an error of one line that names the parameter. FuzzConfigSet hardly ever
// finds their names.
func FuzzParameters(f *testing.F) {
	for i := range parameters {
		for _, value := range []string{
			"", "0", "1", "-1", "5%", "100%", "1e3%", "10G", "90s", "1h30m", "30d", "9223372036854775808", "10-20",
			"root", "nobody", "same", "/", "../x", "a\nb", "\x00", "\xff", "\x1b[2J", strings.Repeat("9", 400),
		} {
			f.Add(uint(i), value)
		}
	}
	f.Fuzz(func(t *testing.T, i uint, value string) {
		p := parameters[i%uint(len(parameters))]
		c := New(testkit.Host{TB: t})
		err := c.Set(p.name, value)
		if err != nil {
			if !strings.HasPrefix(err.Error(), "parameter "+p.name+": ") {
				t.Errorf("%s=%q: got %q, want the parameter named first", p.name, value, err)
			}
			if strings.ContainsFunc(err.Error(), unicode.IsControl) {
				t.Errorf("%s=%q: got %q, want one line that is harmless on a terminal", p.name, value, err)
			}
			return
		}
		if d := c.ClientTimeout; d != 0 && (d < minClientTimeout || d > maxClientTimeout) {
			t.Errorf("%s=%q: got %v", p.name, value, d)
		}
		if m := c.MinFree; !(m.Percent >= 0 && m.Percent < 100) {
			t.Errorf("%s=%q: got %+v", p.name, value, m)
		}
	})
}
