// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package minfree

import (
	"errors"
	"fmt"
	"math"
	"math/bits"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Limit is how much of a filesystem must be free for one more client, in bytes or in
// percent of its size. The zero value asks for nothing.
type Limit struct {
	Bytes   uint64
	Percent float64
}

// ErrTooLittle is in the error of a [Limit] that is not kept.
var ErrTooLittle = errors.New("too little is free")

// A shortage is what ErrTooLittle is about. It wraps ENOSPC as well.
type shortage struct {
	error
	dir        string
	free, want uint64 // bytes
}

func (s *shortage) Unwrap() error { return s.error }

// compare returns a *shortage if less is free than l asks for.
func (l Limit) compare(dir string, free, size uint64) error {
	want, percent := l.Bytes, ""
	if l.Percent != 0 {
		want = uint64(float64(size) * l.Percent / 100)
		percent = fmt.Sprintf(" (%v%%)", l.Percent)
	}
	if free >= want {
		return nil
	}
	return &shortage{fmt.Errorf("%w in %s: %d of %d bytes, and %d%s must be: %w",
		ErrTooLittle, dir, free, size, want, percent, unix.ENOSPC), dir, free, want}
}

// statfs is how many bytes of the filesystem that dir is on are free, and how many it
// has.
func statfs(dir string) (free, size uint64, err error) {
	var fs unix.Statfs_t
	if err := sys.Retry(func() error { return unix.Statfs(dir, &fs) }); err != nil {
		return 0, 0, fmt.Errorf("statfs: %s: %w", dir, err)
	}
	return saturatingMul(fs.Bavail, uint64(fs.Frsize)), saturatingMul(fs.Blocks, uint64(fs.Frsize)), nil
}

func saturatingMul(a, b uint64) uint64 {
	if hi, lo := bits.Mul64(a, b); hi == 0 {
		return lo
	}
	return math.MaxUint64
}
