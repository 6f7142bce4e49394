// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"strings"
	"testing"
)

func TestParseCount(t *testing.T) {
	tests := []struct {
		name, value string
		want        int
		ok          bool
	}{
		{"lowest", "1", 1, true},
		{"highest", "10000", 10000, true},
		{"leading zeros", "007", 7, true},
		{"below", "0", 0, false},
		{"above", "10001", 0, false},
		{"negative", "-1", 0, false},
		{"plus sign", "+1", 0, false},
		{"empty", "", 0, false},
		{"space", " 1", 0, false},
		{"size suffix", "1G", 0, false},
		{"hex", "0x10", 0, false},
		{"underscore", "1_0", 0, false},
		{"fraction", "1.5", 0, false},
		{"newline", "1\n", 0, false},
		{"beyond 32 bits", "4294967297", 0, false},
		{"beyond 64 bits", "18446744073709551617", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := count(1, 10000)("make-jobs", tt.value)
			if (err == nil) != tt.ok || got != tt.want {
				t.Fatalf("count(%q): got %d, %v, want %d, ok %v", tt.value, got, err, tt.want, tt.ok)
			}
			if err == nil {
				return
			}
			for _, part := range []string{"make-jobs=", "1 to 10000"} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q does not name %q", err, part)
				}
			}
		})
	}
}

func TestConfigCounts(t *testing.T) {
	tests := []struct {
		name, key, value string
		spares, jobs     int
		err              string
	}{
		{"spares", "spare-disks", "10000", 10000, 0, ""},
		{"no spares", "spare-disks", "0", 0, 0, ""},
		{"too many spares", "spare-disks", "10001", 0, 0, "parameter spare-disks: \"10001\": give a whole number from 0 to 10000, as in spare-disks=4"},
		{"jobs", "make-jobs", "1000", 0, 1000, ""},
		{"too many jobs", "make-jobs", "1001", 0, 0, "parameter make-jobs: \"1001\": give a whole number from 1 to 1000, as in make-jobs=4"},
		{"no jobs", "make-jobs", "0", 0, 0, "parameter make-jobs: \"0\": give a whole number from 1 to 1000, as in make-jobs=4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := New(nil)
			err := c.Set(tt.key, tt.value)
			text := ""
			if err != nil {
				text = err.Error()
			}
			if text != tt.err || c.SpareDisks != tt.spares || c.MakeJobs != tt.jobs {
				t.Errorf("got %d spares, %d jobs, error %q, want %d, %d, %q",
					c.SpareDisks, c.MakeJobs, text, tt.spares, tt.jobs, tt.err)
			}
		})
	}
}
