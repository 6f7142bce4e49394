// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"math"
	"strings"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestSizeMax(t *testing.T) {
	for _, tt := range []struct {
		pairs []string
		want  string
	}{
		{[]string{"size", "1M", "size-max", "1M"}, ""},
		{[]string{"size", "2M", "size-max", "1M"}, "parameter size-max: 1048576 bytes: less than the 2097152 bytes of size="},
		{[]string{"size", "1M", "size-max", "0"}, `parameter size-max: "0": no client could ask for anything`},
		{[]string{"size", "1M", "size-max", "much"}, `parameter size-max: "much": `},
		{[]string{"size", "1M", "size-max", ""}, "parameter size-max: empty"},
		{[]string{"size", "2M", "size-max", "1M", "export-dir", "/etc"}, "less than"},
		{[]string{"size-max", "1M", "export-dir", "/etc"}, ""},
	} {
		c := New(testkit.Host{TB: t})
		var err error
		for i := 0; i < len(tt.pairs) && err == nil; i += 2 {
			err = c.Set(tt.pairs[i], tt.pairs[i+1])
		}
		if err == nil {
			err = c.Complete()
		}
		if tt.want == "" {
			testkit.Must(t, err)
		} else {
			testkit.Contains(t, err, tt.want)
		}
	}
}

func TestSizeOf(t *testing.T) {
	c := New(testkit.Host{TB: t})
	c.SizeMax = math.MaxInt64
	for text, want := range map[string]int64{
		"1": 1, "4G": 4 << 30, "4g": 4 << 30, "10k": 10 << 10, "10K": 10 << 10, "3M": 3 << 20, "1T": 1 << 40, "2P": 2 << 50, "7E": 7 << 60,
		"5b": 5, "5B": 5, "3s": 1536, "3S": 1536, "010": 10, "9223372036854775807": math.MaxInt64,
		"8E": math.MaxInt64, "99999999999999999999": math.MaxInt64, // more than any size-max
	} {
		if got, err := c.SizeOf(text); err != nil || got != want {
			t.Errorf("%q: got %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "0", "0G", "G", "b", "1.5G", "-1", "+1", " 1", "1 ", "0x10", "1_000", "1GG", "4G\x00", strings.Repeat("x", 4000)} {
		if got, err := c.SizeOf(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, got)
		}
	}
	c.SizeMax = 1 << 30
	_, err := c.SizeOf("1073741825")
	testkit.Contains(t, err, "a disk of 1073741825 bytes: parameter size-max: at most 1073741824")
	c.SectorSize = 4096
	_, err = c.SizeOf("4097")
	testkit.Contains(t, err, "parameter sector-size: 4096: the disk has 4097 bytes")
}

func FuzzSizeOf(f *testing.F) {
	f.Add("4G")
	f.Fuzz(func(t *testing.T, text string) {
		c := New(testkit.Host{TB: t})
		c.SizeMax = 1 << 40
		got, err := c.SizeOf(text)
		if want, wantErr := c.host.ParseSize(text); err == nil && (got <= 0 || got > c.SizeMax || wantErr == nil && got != want) {
			t.Errorf("%q: got %d, want %d", text, got, want)
		}
	})
}

// An export does without what the command line has for all.
func TestExportDoesWithoutSizes(t *testing.T) {
	e, err := commandLine(t, "size", "1M", "size-max", "4M", "sector-size", "4096").Export(settings("size-max=", "sector-size="))
	testkit.Must(t, err)
	if e.SizeMax != 0 || e.SectorSize != 0 || e.Described() != "" {
		t.Errorf("got %d, %d, %q, want none", e.SizeMax, e.SectorSize, e.Described())
	}
}
