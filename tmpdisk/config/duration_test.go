// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"strings"
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	tests := []struct {
		value string
		want  time.Duration
	}{
		{"0", 0},
		{"90", 90 * time.Second},
		{"90s", 90 * time.Second},
		{" 90s ", 90 * time.Second},
		{"5m", 5 * time.Minute},
		{"1h30m", 90 * time.Minute},
		{"500ms", 500 * time.Millisecond},
		{"1.5s", 1500 * time.Millisecond},
		{"007", 7 * time.Second},
		{"0.0s", 0},
		{"1ns", 1},
	}
	for _, test := range tests {
		t.Run(test.value, func(t *testing.T) {
			got, err := parseDuration("some-timeout", test.value)
			if err != nil || got != test.want {
				t.Errorf("got %v, %v, want %v", got, err, test.want)
			}
		})
	}
}

func TestParseDurationRefuses(t *testing.T) {
	tests := []struct{ name, value, want string }{
		{"empty", "", "empty"},
		{"blank", " \n", "empty"},
		{"word", "never", "not a duration"},
		{"no number", "s", "not a duration"},
		{"unknown unit", "3d", "not a duration"},
		{"negative", "-1", "negative"},
		{"negative with unit", "-1s", "negative"},
		{"negative nothing", "-0s", "negative"},
		{"plus", "+", "not a duration"},
		{"too long", "9999999999", "too long"},
		{"too long with unit", "2000000h", "too long"},
		{"no int64", "99999999999999999999", "too long"},
		{"less than the least", "0.0000000001s", "too short"},
		{"fraction of no unit", "1.5", "not a duration"},
		{"NUL", "1\x00", "not a duration"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := parseDuration("some-timeout", test.value)
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "some-timeout=90s") {
				t.Errorf("got %v, %v, want %q and the accepted form", got, err, test.want)
			}
		})
	}
}

func TestParseDays(t *testing.T) {
	const day = 24 * time.Hour
	for value, want := range map[string]time.Duration{
		"0": 0, "0d": 0, "60": time.Minute, "2h": 2 * time.Hour, "7d": 7 * day, "36500d": 36500 * day,
	} {
		if got, err := parseDays("some-time", value); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", value, got, err, want)
		}
	}
	for value, want := range map[string]string{
		"": "empty", "soon": "soon", "d": "as in some-time=30d", "-3d": "negative",
		"99999999999999999999d": "too long", "36501d": "at most 36500d",
	} {
		if _, err := parseDays("some-time", value); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", value, err, want)
		}
	}
}

func FuzzParseDuration(f *testing.F) {
	for _, seed := range []string{"0", "90s", "1h30m", "-1", "", "1e9", "9223372036854775807", ".5s"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		d, err := parseDuration("p", value)
		if d < 0 || d > maxDuration || err != nil && d != 0 {
			t.Errorf("got %v, %v for %q", d, err, value)
		}
	})
}
