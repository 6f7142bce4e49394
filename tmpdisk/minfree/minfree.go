// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package minfree

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"

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
	dir     string
	missing uint64 // bytes
}

func (s *shortage) Unwrap() error { return s.error }

// Check returns an error if the filesystem of one of dirs has less free than l asks
// for. What counts is what an ordinary user may still take.
func (l Limit) Check(dirs ...string) error {
	if l == (Limit{}) {
		return nil
	}
	for _, dir := range dirs {
		free, size, err := Space(dir)
		if err == nil && size > 0 { // else tmpfs without a limit, or it does not tell
			err = l.compare(dir, free, size)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

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
		ErrTooLittle, dir, free, size, want, percent, unix.ENOSPC), dir, want - free}
}

// Space is how many bytes of the filesystem that dir is on are free, and how many it
// has.
func Space(dir string) (free, size uint64, err error) {
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

// Ensure is [Limit.Check], but what nobody uses in dropDir goes first: drop
// removes the oldest of it and returns how many bytes that frees; ok is false if
// there is nothing. It is called as often as it takes, and only where it helps. A
// filesystem may free space some time later (xfs, btrfs), so Ensure waits for that.
func (l Limit) Ensure(dirs []string, dropDir string, drop func() (freed uint64, ok bool)) error {
	const patience, pause = 2 * time.Second, 20 * time.Millisecond
	freed := uint64(0)
	for waited := time.Duration(0); ; {
		err := l.Check(dirs...)
		var short *shortage
		if !errors.As(err, &short) || !sameFilesystem(short.dir, dropDir) {
			return err
		}
		if freed < short.missing {
			more, ok := drop()
			if freed += more; ok {
				continue
			}
		}
		if freed == 0 || waited >= patience {
			return err
		}
		time.Sleep(pause)
		waited += pause
	}
}

func sameFilesystem(a, b string) bool {
	if a == b {
		return true
	}
	var one, other unix.Stat_t
	return unix.Stat(a, &one) == nil && unix.Stat(b, &other) == nil && one.Dev == other.Dev
}
