// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package config

import (
	"path/filepath"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestTMPDIR(t *testing.T) {
	host := dirHost{testkit.Host{TB: t}, "/where/nbdkit/started"}
	for _, c := range []struct{ name, tmpdir, want string }{
		{"absolute", "/a/b", "/a/b"},
		{"relative", "a/b", "/where/nbdkit/started/a/b"},
		{"leading dash", "-a", "/where/nbdkit/started/-a"},
		{"empty", "", "/var/tmp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("TMPDIR", c.tmpdir)
			if got := TMPDIR(host); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

type dirHost struct {
	testkit.Host
	dir string
}

func (h dirHost) AbsolutePath(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(h.dir, path)
}
