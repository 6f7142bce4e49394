// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/command"
	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

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

// makeDisk makes one disk in a TMPDIR of the test's own.
func makeDisk(t testing.TB, pairs ...string) (*disk.Disk, error) {
	t.Helper()
	parent := privateTMPDIR(t)
	m := newMaker(configOf(t, pairs...), testkit.Host{TB: t}, command.NewRunner(func(string) {}))
	d, err := m.Fresh(context.Background())
	testkit.WantEmpty(t, parent)
	if err == nil {
		t.Cleanup(func() { closeDisk(t, d) })
	}
	return d, err
}

func mustMakeDisk(t testing.TB, pairs ...string) *disk.Disk {
	t.Helper()
	d, err := makeDisk(t, pairs...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func closeDisk(t testing.TB, d *disk.Disk) {
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func privateTMPDIR(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	return dir
}

// open is a client that is patient.
func open(s *Server) (*Disk, error) {
	return s.Open(Client{}, func(f func(context.Context) (*Disk, error)) (*Disk, error) {
		return f(context.Background())
	})
}

// PRead and PWrite are a client's requests.

func (d *Disk) PRead(buf []byte, off uint64) error {
	return d.Do(disk.Request{Op: disk.Read, Buf: buf, Offset: off})
}

func (d *Disk) PWrite(buf []byte, off uint64) error {
	return d.Do(disk.Request{Op: disk.Write, Buf: buf, Offset: off})
}
