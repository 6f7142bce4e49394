// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"strings"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/export"
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

func TestWarnings(t *testing.T) {
	for _, tt := range []struct {
		pair, want string // "" for no warning
	}{
		{"min-free=5", "parameter min-free: this is 5 bytes, which keeps nobody out: give a unit as in min-free=10G, or a part of the filesystem as in min-free=5%"},
		{"min-free=1023K", "parameter min-free: this is 1047552 bytes"},
		{"min-free=1M", ""},
		{"min-free=0", ""},
		{"min-free=0.1%", ""},
		{"client-rate=50", "parameter client-rate: this is 50 bytes a second, at which a block of 4096 bytes takes 1m21.9s: give a unit as in client-rate=50M"},
		{"client-rate=4K", ""},
		{"session-grace=10ms", "parameter session-grace: this is 10ms, after which"},
		{"session-grace=1s", ""},
		{"session-grace=0", ""},
	} {
		key, value, _ := strings.Cut(tt.pair, "=")
		c, err := completed(t, []string{"size", "1M", key, value})
		testkit.Must(t, err)
		got := strings.Join(c.Warnings(), "\n")
		if !strings.HasPrefix(got, tt.want) || (got != "") != (tt.want != "") {
			t.Errorf("%s: got %q, want %q", tt.pair, got, tt.want)
		}
	}
}

// What the command line says, each export need not say again.
func TestWarningsOfAnExport(t *testing.T) {
	c, err := completed(t, []string{"size", "1M", "session-grace", "10ms"})
	testkit.Must(t, err)
	x, err := c.Export([]export.Setting{{Key: "min-free", Value: "5"}})
	testkit.Must(t, err)
	if got := x.Warnings(); len(got) != 1 || !strings.Contains(got[0], "min-free") {
		t.Errorf("got %q, want one about min-free", got)
	}
}
