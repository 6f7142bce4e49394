// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package minfree

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"

	"golang.org/x/sys/unix"
)

func TestCompare(t *testing.T) {
	for _, tt := range []struct {
		name        string
		m           Limit
		free, total uint64
		refused     bool
	}{
		{"enough", Limit{Bytes: 100}, 100, 1000, false},
		{"one byte short", Limit{Bytes: 100}, 99, 1000, true},
		{"larger than the filesystem", Limit{Bytes: 2000}, 1000, 1000, true},
		{"percent enough", Limit{Percent: 10}, 100, 1000, false},
		{"percent short", Limit{Percent: 10}, 99, 1000, true},
		{"percent of much", Limit{Percent: 50}, math.MaxUint64 / 4, math.MaxUint64, true},
		{"percent of much, enough", Limit{Percent: 50}, math.MaxUint64, math.MaxUint64, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.m.compare("/dir", tt.free, tt.total)
			if !tt.refused {
				if err != nil {
					t.Errorf("got %v, want no error", err)
				}
				return
			}
			testkit.Contains(t, err, "too little is free", "/dir")
			if !errors.Is(err, unix.ENOSPC) || !errors.Is(err, ErrTooLittle) {
				t.Errorf("got %v, want ENOSPC, too little free", err)
			}
		})
	}
	err := Limit{Percent: 12.5}.compare("/dir", 7, 1000)
	testkit.Contains(t, err, "7 of 1000 bytes", "125 (12.5%)")
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	check := func(l Limit, dir string) error { return New().Check(context.Background(), l, dir) }
	if err := check(Limit{Bytes: 1}, dir); err != nil {
		t.Errorf("one byte: got %v, want no error", err)
	}
	testkit.Contains(t, check(Limit{Bytes: math.MaxInt64}, dir), "too little is free in "+dir)
	missing := filepath.Join(dir, "missing")
	testkit.Contains(t, check(Limit{Bytes: 1}, missing), "statfs: "+missing)
	if err := check(Limit{}, missing); err != nil {
		t.Errorf("default: got %v, want no error", err)
	}
	// /proc has no blocks at all, like a tmpfs without a limit.
	if err := check(Limit{Percent: 50}, "/proc"); err != nil {
		t.Errorf("no blocks: got %v, want no error", err)
	}
}

func FuzzCompare(f *testing.F) {
	f.Add(uint64(1), uint64(2), uint64(3), 4.5)
	f.Add(uint64(1)<<63, ^uint64(0), ^uint64(0), 99.999999)
	f.Fuzz(func(t *testing.T, free, total, bytes uint64, percent float64) {
		if err := (Limit{Bytes: bytes}).compare("/", free, total); (err != nil) != (free < bytes) {
			t.Errorf("%d free, %d wanted: got %v", free, bytes, err)
		}
		if !(percent >= 0 && percent < 100) {
			return
		}
		m := Limit{Percent: percent}
		if err := m.compare("/", total, total); err != nil {
			t.Errorf("an empty filesystem of %d, %v%% wanted: got %v", total, percent, err)
		}
		err := m.compare("/", free, total)
		if less := m.compare("/", free/2, total); err != nil && less == nil {
			t.Errorf("of %d bytes %d are too few but %d enough for %v%%", total, free, free/2, percent)
		}
	})
}
