// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"os"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
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

func privateTMPDIR(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	return dir
}

// open is a client that is patient.
func open(s *Server) (*Connection, error) { return openNamed(s, "") }

func openNamed(s *Server, export string) (*Connection, error) {
	return s.Open(Client{Export: export}, func(f func(context.Context) (*Connection, error)) (*Connection, error) {
		return f(context.Background())
	})
}

// PRead and PWrite are a client's requests.

func (d *Connection) PRead(buf []byte, off uint64) error {
	return d.Do(disk.Request{Op: disk.Read, Buf: buf, Offset: off})
}

func (d *Connection) PWrite(buf []byte, off uint64) error {
	return d.Do(disk.Request{Op: disk.Write, Buf: buf, Offset: off})
}
