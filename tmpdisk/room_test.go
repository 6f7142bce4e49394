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

	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"

	"golang.org/x/sys/unix"
)

func TestMinFreeCompare(t *testing.T) {
	for _, tt := range []struct {
		name        string
		m           config.MinFree
		free, total uint64
		refused     bool
	}{
		{"enough", config.MinFree{Bytes: 100}, 100, 1000, false},
		{"one byte short", config.MinFree{Bytes: 100}, 99, 1000, true},
		{"larger than the filesystem", config.MinFree{Bytes: 2000}, 1000, 1000, true},
		{"percent enough", config.MinFree{Percent: 10}, 100, 1000, false},
		{"percent short", config.MinFree{Percent: 10}, 99, 1000, true},
		{"percent of much", config.MinFree{Percent: 50}, math.MaxUint64 / 4, math.MaxUint64, true},
		{"percent of much, enough", config.MinFree{Percent: 50}, math.MaxUint64, math.MaxUint64, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := compareFree(tt.m, "/dir", tt.free, tt.total)
			if !tt.refused {
				if err != nil {
					t.Errorf("got %v, want no error", err)
				}
				return
			}
			testkit.Contains(t, err, "too little is free", "/dir")
			if !errors.Is(err, unix.ENOSPC) || !errors.Is(err, errTooLittleFree) {
				t.Errorf("got %v, want ENOSPC, too little free", err)
			}
		})
	}
	err := compareFree(config.MinFree{Percent: 12.5}, "/dir", 7, 1000)
	testkit.Contains(t, err, "7 of 1000 bytes", "125 (12.5%)")
}

func TestMinFreeCheck(t *testing.T) {
	dir := t.TempDir()
	if err := checkFree(config.MinFree{Bytes: 1}, dir); err != nil {
		t.Errorf("one byte: got %v, want no error", err)
	}
	testkit.Contains(t, checkFree(config.MinFree{Bytes: math.MaxInt64}, dir), "too little is free in "+dir)
	missing := filepath.Join(dir, "missing")
	testkit.Contains(t, checkFree(config.MinFree{Bytes: 1}, missing), "statfs: "+missing)
	if err := checkFree(config.MinFree{}, missing); err != nil {
		t.Errorf("default: got %v, want no error", err)
	}
	// /proc has no blocks at all, like a tmpfs without a limit.
	if err := checkFree(config.MinFree{Percent: 50}, "/proc"); err != nil {
		t.Errorf("no blocks: got %v, want no error", err)
	}
}

// A disk that is ready already is no way in either.
func TestMinFreeRefuses(t *testing.T) {
	privateTMPDIR(t)
	cfg := configOf(t, "size", "1M", "command", ":")
	s := NewServer(cfg, testkit.Host{TB: t}, "1")
	defer s.Stop()
	d, err := open(s)
	if err != nil {
		t.Fatal(err)
	}
	s.Close(d)

	cfg.MinFree = config.MinFree{Bytes: math.MaxInt64}
	if d, err := open(s); err == nil {
		s.Close(d)
		t.Error("got a disk, want an error")
	} else {
		testkit.Contains(t, err, "open: parameter min-free: ")
	}
}

func TestMinFreePausesSpares(t *testing.T) {
	parent := privateTMPDIR(t)
	cfg := configOf(t, "size", "1M", "command", ":", "spare-disks", "2", "min-free", "8388607G")
	host := &loggingHost{Host: testkit.Host{TB: t}, errors: make(chan string, 10)}
	s := NewServer(cfg, host, "1")
	s.Start()
	line := <-host.errors // spares wait, and the log says why
	if !strings.Contains(line, "min-free") {
		t.Errorf("got %q, want min-free in it", line)
	}
	s.Stop()
	if left := testkit.Names(t, parent); len(left) != 0 {
		t.Errorf("left in TMPDIR: %q", left)
	}
}

// loggingHost keeps the lines for the log.
type loggingHost struct {
	testkit.Host
	errors chan string
}

func (h *loggingHost) Error(msg string) { h.errors <- msg }

// Disks that wait on another filesystem than is short of room are left alone.
func TestMinFreeDropsWhereItHelps(t *testing.T) {
	for _, tt := range []struct {
		name  string
		other bool
	}{{"one filesystem", false}, {"two filesystems", true}} {
		t.Run(tt.name, func(t *testing.T) {
			tmpdir := privateTMPDIR(t)
			dir := t.TempDir()
			if tt.other {
				tmpdir = testkit.Tmpfs(t, "16M")
				t.Setenv("TMPDIR", tmpdir)
			}
			cfg := configOf(t, "size", "1M", "command", ":", "session-grace", "1h", "session-key", "name", "session-dir", dir)
			s := NewServer(cfg, testkit.Host{TB: t}, "1")
			s.Start()
			defer s.Stop()
			d, err := openNamed(s, "a/waits")
			if err != nil {
				t.Fatal(err)
			}
			if err := d.PWrite([]byte("kept"), 0); err != nil {
				t.Fatal(err)
			}
			s.Close(d)

			cfg.MinFree = config.MinFree{Bytes: math.MaxInt64}
			_, err = openNamed(s, "a/comes")
			testkit.Contains(t, err, "too little is free in "+tmpdir)
			cfg.MinFree = config.MinFree{}
			d, err = openNamed(s, "a/waits")
			if (err == nil) != tt.other {
				t.Errorf("the disk that waits: got %v, want it there: %v", err, tt.other)
			}
			if err == nil {
				s.Close(d)
			}
		})
	}
}

// openNamed is a patient client that asks for name.
func openNamed(s *Server, name string) (*Disk, error) {
	return s.Open(Client{Export: name}, func(f func(context.Context) (*Disk, error)) (*Disk, error) {
		return f(context.Background())
	})
}

func FuzzMinFreeCompare(f *testing.F) {
	f.Add(uint64(1), uint64(2), uint64(3), 4.5)
	f.Add(uint64(1)<<63, ^uint64(0), ^uint64(0), 99.999999)
	f.Fuzz(func(t *testing.T, free, total, bytes uint64, percent float64) {
		if err := compareFree(config.MinFree{Bytes: bytes}, "/", free, total); (err != nil) != (free < bytes) {
			t.Errorf("%d free, %d wanted: got %v", free, bytes, err)
		}
		if !(percent >= 0 && percent < 100) {
			return
		}
		m := config.MinFree{Percent: percent}
		if err := compareFree(m, "/", total, total); err != nil {
			t.Errorf("an empty filesystem of %d, %v%% wanted: got %v", total, percent, err)
		}
		err := compareFree(m, "/", free, total)
		if less := compareFree(m, "/", free/2, total); err != nil && less == nil {
			t.Errorf("of %d bytes %d are too few but %d enough for %v%%", total, free, free/2, percent)
		}
	})
}
