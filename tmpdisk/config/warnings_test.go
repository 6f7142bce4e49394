// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"strings"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/export"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

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
