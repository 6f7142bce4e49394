// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"os"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// Debian and Ubuntu keep mkfs where only root looks.
func TestMain(m *testing.M) {
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	os.Exit(m.Run())
}

// quietHost is a testkit.Host that logs no debug lines.
type quietHost struct{ testkit.Host }

func (quietHost) Debug(string) {}

// configOf is a configuration that must be right: key, value, key, value...
func configOf(t testing.TB, pairs ...string) *config.Config {
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

func privateTMPDIR(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	return dir
}

// open is a client that is patient.
func open(s *Server) (*Connection, error) {
	return s.Open(Client{}, func(f func(context.Context) (*Connection, error)) (*Connection, error) {
		return f(context.Background())
	})
}

// castingServer is one whose disks are cast.
func castingServer(t *testing.T, pairs ...string) *Server {
	t.Helper()
	parent := privateTMPDIR(t)
	s := NewServer(configOf(t, pairs...), testkit.Host{TB: t}, "1")
	t.Cleanup(func() {
		s.Stop()
		testkit.WantEmpty(t, parent)
	})
	return s
}
