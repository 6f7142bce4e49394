// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package testconfig makes configurations for tests.
package testconfig

import (
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// Of is a configuration that must be right: key, value, key, value...
func Of(t testing.TB, pairs ...string) *config.Config {
	t.Helper()
	c := config.New(testkit.Host{TB: t})
	for i := 0; i < len(pairs); i += 2 {
		if err := c.Set(pairs[i], pairs[i+1]); err != nil {
			t.Fatalf("Set(%s): %v", pairs[i], err)
		}
	}
	if err := c.Complete(); err != nil {
		t.Fatalf("Complete: %v", err)
	}
	return c
}
