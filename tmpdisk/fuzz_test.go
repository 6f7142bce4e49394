// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"strings"
	"testing"
	"unicode"
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
		c := NewConfig(testHost{t})
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
		if d := c.clientTimeout; d != 0 && (d < minClientTimeout || d > maxClientTimeout) {
			t.Errorf("%s=%q: got %v", p.name, value, d)
		}
		if m := c.minFree; !(m.percent >= 0 && m.percent < 100) {
			t.Errorf("%s=%q: got %+v", p.name, value, m)
		}
	})
}

func FuzzMinFreeCompare(f *testing.F) {
	f.Add(uint64(1), uint64(2), uint64(3), 4.5)
	f.Add(uint64(1)<<63, ^uint64(0), ^uint64(0), 99.999999)
	f.Fuzz(func(t *testing.T, free, total, bytes uint64, percent float64) {
		if err := (minFree{bytes: bytes}).compare("/", free, total); (err != nil) != (free < bytes) {
			t.Errorf("%d free, %d wanted: got %v", free, bytes, err)
		}
		if !(percent >= 0 && percent < 100) {
			return
		}
		m := minFree{percent: percent}
		if err := m.compare("/", total, total); err != nil {
			t.Errorf("an empty filesystem of %d, %v%% wanted: got %v", total, percent, err)
		}
		err := m.compare("/", free, total)
		if less := m.compare("/", free/2, total); err != nil && less == nil {
			t.Errorf("of %d bytes %d are too few but %d enough for %v%%", total, free, free/2, percent)
		}
	})
}
