// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"

	"errors"
	"fmt"
	"math"
	"math/bits"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// minFree is how much of a filesystem must be free for one more client, in
// bytes or in percent of its size. The zero value asks for nothing.
type minFree struct {
	bytes   uint64
	percent float64
}

var errTooLittleFree = errors.New("too little is free")

func (c *Config) parseMinFree(value string) error {
	m, err := c.readMinFree(strings.TrimSpace(value))
	if err != nil {
		return fmt.Errorf("%q: %w: give a size as in min-free=10G, or a part of the filesystem as in min-free=5%%",
			value, err)
	}
	c.minFree = m
	return nil
}

func (c *Config) readMinFree(text string) (minFree, error) {
	if number, ok := strings.CutSuffix(text, "%"); ok {
		percent, err := strconv.ParseFloat(number, 64)
		if err != nil || strings.Trim(number, "0123456789.") != "" { // nor 1e1, 0x1, inf
			return minFree{}, errors.New("not a number")
		}
		if percent >= 100 {
			return minFree{}, errors.New("not below 100%")
		}
		return minFree{percent: percent}, nil
	}
	n, err := c.host.ParseSize(text)
	if err == nil && n < 0 {
		err = errors.New("negative")
	}
	return minFree{bytes: uint64(max(n, 0))}, err
}

// check returns an error if the filesystem that dir is on has less free than m
// asks for: errTooLittleFree and ENOSPC. What counts is what an ordinary user
// may still take.
//
// It is a look, not a reservation: clients that come together see the same
// free space, and disks grow afterwards.
func (m minFree) check(dir string) error {
	if m == (minFree{}) {
		return nil
	}
	var fs unix.Statfs_t
	if err := sys.Retry(func() error { return unix.Statfs(dir, &fs) }); err != nil {
		return fmt.Errorf("statfs: %s: %w", dir, err)
	}
	if fs.Blocks == 0 {
		return nil // tmpfs without a limit, or a filesystem that does not tell
	}
	blockSize := uint64(fs.Frsize)
	return m.compare(dir, saturatingMul(fs.Bavail, blockSize), saturatingMul(fs.Blocks, blockSize))
}

func (m minFree) compare(dir string, free, total uint64) error {
	want, percent := m.bytes, ""
	if m.percent != 0 {
		want = uint64(float64(total) * m.percent / 100)
		percent = fmt.Sprintf(" (%v%%)", m.percent)
	}
	if free >= want {
		return nil
	}
	return fmt.Errorf("%w in %s: %d of %d bytes, and %d%s must be: %w",
		errTooLittleFree, dir, free, total, want, percent, unix.ENOSPC)
}

func saturatingMul(a, b uint64) uint64 {
	if hi, lo := bits.Mul64(a, b); hi == 0 {
		return lo
	}
	return math.MaxUint64
}

// room is why no client may come in now, or nil.
func (s *Server) room() error {
	if err := s.maker.cfg.minFree.check(s.maker.parent); err != nil {
		return fmt.Errorf("parameter min-free: %w", err)
	}
	return nil
}

// roomForSpare is why no spare disk may be made now, or nil: a full filesystem
// is not tried again and again.
func (s *Server) roomForSpare() error {
	if err := s.room(); err != nil {
		return err
	}
	return minFree{bytes: s.maker.space.Load()}.check(s.maker.parent)
}
