// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"errors"
	"fmt"
	"math"
	"math/bits"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

var errTooLittleFree = errors.New("too little is free")

// checkFree returns an error if the filesystem that dir is on has less free than
// m asks for: errTooLittleFree and ENOSPC. What counts is what an ordinary user
// may still take.
//
// It is a look, not a reservation: clients that come together see the same
// free space, and disks grow afterwards.
func checkFree(m config.MinFree, dir string) error {
	if m == (config.MinFree{}) {
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
	return compareFree(m, dir, saturatingMul(fs.Bavail, blockSize), saturatingMul(fs.Blocks, blockSize))
}

func compareFree(m config.MinFree, dir string, free, total uint64) error {
	want, percent := m.Bytes, ""
	if m.Percent != 0 {
		want = uint64(float64(total) * m.Percent / 100)
		percent = fmt.Sprintf(" (%v%%)", m.Percent)
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
	if err := checkFree(s.maker.cfg.MinFree, s.maker.parent); err != nil {
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
	return checkFree(config.MinFree{Bytes: s.maker.space.Load()}, s.maker.parent)
}
