// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMinFreeParameter(t *testing.T) {
	for _, tt := range []struct {
		value string
		want  minFree
	}{
		{"0", minFree{}},
		{"0%", minFree{}},
		{"10G", minFree{bytes: 10 << 30}},
		{" 1M ", minFree{bytes: 1 << 20}},
		{"5%", minFree{percent: 5}},
		{"2.5%", minFree{percent: 2.5}},
		{"99.999%", minFree{percent: 99.999}},
	} {
		t.Run(tt.value, func(t *testing.T) {
			if c := configOf(t, "size", "1G", "min-free", tt.value); c.minFree != tt.want {
				t.Errorf("got %+v, want %+v", c.minFree, tt.want)
			}
		})
	}
	for _, value := range []string{
		"", "%", "-1", "-1%", "100%", "1e1%", "0x5%", "NaN%", "inf%", "+5%", "5 %", "5%%", "five", ".%", "1.2.3%", "1_0%",
	} {
		t.Run("bad "+value, func(t *testing.T) {
			err := NewConfig(testHost{t}).Set("min-free", value)
			contains(t, err, "parameter min-free: ", "min-free=10G", "min-free=5%")
		})
	}
}

func TestMinFreeCompare(t *testing.T) {
	for _, tt := range []struct {
		name        string
		m           minFree
		free, total uint64
		refused     bool
	}{
		{"enough", minFree{bytes: 100}, 100, 1000, false},
		{"one byte short", minFree{bytes: 100}, 99, 1000, true},
		{"larger than the filesystem", minFree{bytes: 2000}, 1000, 1000, true},
		{"percent enough", minFree{percent: 10}, 100, 1000, false},
		{"percent short", minFree{percent: 10}, 99, 1000, true},
		{"percent of much", minFree{percent: 50}, math.MaxUint64 / 4, math.MaxUint64, true},
		{"percent of much, enough", minFree{percent: 50}, math.MaxUint64, math.MaxUint64, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := tt.m.compare("/dir", tt.free, tt.total)
			if !tt.refused {
				if err != nil {
					t.Errorf("got %v, want no error", err)
				}
				return
			}
			contains(t, err, "too little is free", "/dir")
			if !errors.Is(err, unix.ENOSPC) || !errors.Is(err, errTooLittleFree) {
				t.Errorf("got %v, want ENOSPC, too little free", err)
			}
		})
	}
	err := minFree{percent: 12.5}.compare("/dir", 7, 1000)
	contains(t, err, "7 of 1000 bytes", "125 (12.5%)")
}

func TestMinFreeCheck(t *testing.T) {
	dir := t.TempDir()
	if err := (minFree{bytes: 1}).check(dir); err != nil {
		t.Errorf("one byte: got %v, want no error", err)
	}
	contains(t, minFree{bytes: math.MaxInt64}.check(dir), "too little is free in "+dir)
	missing := filepath.Join(dir, "missing")
	contains(t, minFree{bytes: 1}.check(missing), "statfs: "+missing)
	if err := (minFree{}).check(missing); err != nil {
		t.Errorf("default: got %v, want no error", err)
	}
	// /proc has no blocks at all, like a tmpfs without a limit.
	if err := (minFree{percent: 50}).check("/proc"); err != nil {
		t.Errorf("no blocks: got %v, want no error", err)
	}
}

// A disk that is ready already is no way in either.
func TestMinFreeRefuses(t *testing.T) {
	privateTMPDIR(t)
	cfg := configOf(t, "size", "1M", "command", ":")
	s := NewServer(cfg, testHost{t})
	defer s.Stop()
	d, err := s.Open(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	s.Close(d)

	cfg.minFree = minFree{bytes: math.MaxInt64}
	if d, err := s.Open(context.Background()); err == nil {
		s.Close(d)
		t.Error("got a disk, want an error")
	} else {
		contains(t, err, "open: parameter min-free: ")
	}
}

func TestMinFreePausesSpares(t *testing.T) {
	parent := privateTMPDIR(t)
	cfg := configOf(t, "size", "1M", "command", ":", "spare-disks", "2", "min-free", "8388607G")
	host := &loggingHost{testHost: testHost{t}, errors: make(chan string, 10)}
	s := NewServer(cfg, host)
	s.Start()
	line := <-host.errors // spares wait, and the log says why
	if !strings.Contains(line, "min-free") {
		t.Errorf("got %q, want min-free in it", line)
	}
	s.Stop()
	if left := leftIn(t, parent); len(left) != 0 {
		t.Errorf("left in TMPDIR: %q", left)
	}
}

// loggingHost keeps the lines for the log.
type loggingHost struct {
	testHost
	errors chan string
}

func (h *loggingHost) Error(msg string) { h.errors <- msg }
