// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/minfree"
)

func TestMinFreeParameter(t *testing.T) {
	for _, tt := range []struct {
		value string
		want  minfree.Limit
	}{
		{"0", minfree.Limit{}},
		{"0%", minfree.Limit{}},
		{"10G", minfree.Limit{Bytes: 10 << 30}},
		{" 1M ", minfree.Limit{Bytes: 1 << 20}},
		{"5%", minfree.Limit{Percent: 5}},
		{"2.5%", minfree.Limit{Percent: 2.5}},
		{"99.999%", minfree.Limit{Percent: 99.999}},
	} {
		t.Run(tt.value, func(t *testing.T) {
			c := New(testkit.Host{TB: t})
			if err := c.Set("min-free", tt.value); err != nil || c.MinFree != tt.want {
				t.Errorf("got %+v, %v, want %+v", c.MinFree, err, tt.want)
			}
		})
	}
	for _, value := range []string{
		"", "%", "-1", "-1%", "100%", "1e1%", "0x5%", "NaN%", "inf%", "+5%", "5 %", "5%%", "five", ".%", "1.2.3%", "1_0%",
	} {
		t.Run("bad "+value, func(t *testing.T) {
			err := New(testkit.Host{TB: t}).Set("min-free", value)
			testkit.Contains(t, err, "parameter min-free: ", "min-free=10G", "min-free=5%")
		})
	}
}

func TestClientTimeoutParameter(t *testing.T) {
	for _, tt := range []struct {
		value string
		want  time.Duration
	}{
		{"0", 0},
		{"0s", 0},
		{"4", 4 * time.Second},
		{"90s", 90 * time.Second},
		{" 2m ", 2 * time.Minute},
		{"168h", 168 * time.Hour},
	} {
		t.Run(tt.value, func(t *testing.T) {
			c := New(testkit.Host{TB: t})
			if err := c.Set("client-timeout", tt.value); err != nil || c.ClientTimeout != tt.want {
				t.Errorf("got %v, %v, want %v", c.ClientTimeout, err, tt.want)
			}
		})
	}
	if c := New(testkit.Host{TB: t}); c.ClientTimeout != 2*time.Minute {
		t.Errorf("default: got %v, want 2m", c.ClientTimeout)
	}
	for _, value := range []string{"", "1", "3999ms", "168h1s", "-3", "never", "3 s"} {
		t.Run("bad "+value, func(t *testing.T) {
			err := New(testkit.Host{TB: t}).Set("client-timeout", value)
			testkit.Contains(t, err, "parameter client-timeout: ", "give ")
		})
	}
}
