// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// testHost stands in for nbdkit: sizes know K, M and G, debug lines go to the
// test's log.
type testHost struct{ t testing.TB }

func (h testHost) ParseSize(s string) (int64, error) {
	unit := int64(1)
	switch {
	case strings.HasSuffix(s, "K"):
		unit = 1 << 10
	case strings.HasSuffix(s, "M"):
		unit = 1 << 20
	case strings.HasSuffix(s, "G"):
		unit = 1 << 30
	}
	n, err := strconv.ParseInt(strings.TrimRight(s, "KMG"), 10, 64)
	if err != nil {
		return 0, err
	}
	if n > math.MaxInt64/unit {
		return 0, errors.New("too large")
	}
	return n * unit, nil
}

func (h testHost) AbsolutePath(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		h.t.Error(err)
	}
	return abs
}

func (h testHost) Debug(msg string) { h.t.Log("debug: " + msg) }
func (h testHost) Error(msg string) { h.t.Log("error: " + msg) }

// configOf is a configuration that must be right: key, value, key, value...
func configOf(t testing.TB, pairs ...string) *Config {
	t.Helper()
	c := NewConfig(testHost{t})
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
func makeDisk(t testing.TB, pairs ...string) (*Disk, error) {
	t.Helper()
	parent := privateTMPDIR(t)
	m := newMaker(configOf(t, pairs...), testHost{t})
	d, err := m.make(context.Background())
	if left := leftIn(t, parent); len(left) != 0 {
		t.Errorf("left in TMPDIR: %q", left)
	}
	if err == nil {
		t.Cleanup(func() { closeDisk(t, d) })
	}
	return d, err
}

func mustMakeDisk(t testing.TB, pairs ...string) *Disk {
	t.Helper()
	d, err := makeDisk(t, pairs...)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func closeDisk(t testing.TB, d *Disk) {
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

func leftIn(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// contains fails the test unless err's text has every want.
func contains(t testing.TB, err error, wants ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("got no error, want one with %q", wants)
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got error %q, want %q in it", err, want)
		}
	}
}
