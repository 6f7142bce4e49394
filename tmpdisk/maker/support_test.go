// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"context"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/command"
	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testconfig"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// makerIn is a Maker whose private directories are in dir.
func makerIn(t testing.TB, dir string, pairs ...string) *Maker {
	t.Helper()
	host := testkit.Host{TB: t}
	return New(Options{Config: testconfig.Of(t, pairs...), Dir: dir, Runner: command.NewRunner(testkit.Quiet), Counts: &Counts{}, Debug: host.Debug, Error: host.Error})
}

// makeDisk makes a disk, and looks for what is left.
func makeDisk(t testing.TB, pairs ...string) (*disk.Disk, error) {
	t.Helper()
	dir := t.TempDir()
	d, err := makerIn(t, dir, pairs...).Fresh(context.Background())
	testkit.WantEmpty(t, dir)
	if err == nil {
		t.Cleanup(func() { closeDisk(t, d) })
	}
	return d, err
}

func mustMakeDisk(t testing.TB, pairs ...string) *disk.Disk {
	t.Helper()
	d, err := makeDisk(t, pairs...)
	testkit.Must(t, err)
	return d
}

func closeDisk(t testing.TB, d *disk.Disk) {
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
