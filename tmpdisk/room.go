// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"errors"
	"fmt"
	"math"
	"math/bits"
	"time"

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
	return &shortage{fmt.Errorf("%w in %s: %d of %d bytes, and %d%s must be: %w",
		errTooLittleFree, dir, free, total, want, percent, unix.ENOSPC), dir, want - free}
}

func saturatingMul(a, b uint64) uint64 {
	if hi, lo := bits.Mul64(a, b); hi == 0 {
		return lo
	}
	return math.MaxUint64
}

// A shortage is what errTooLittleFree is about.
type shortage struct {
	error
	dir     string
	missing uint64 // bytes
}

func (s *shortage) Unwrap() error { return s.error }

// room is why no client may come in now, or nil. Disks that wait for their
// clients make room for one that comes, as many as it takes and no more: a
// filesystem may free their space some time later (xfs, btrfs), so it is waited
// for before the client is turned away.
func (src *source) room() error {
	const patience, pause = 2 * time.Second, 20 * time.Millisecond
	sessions := src.server.sessions
	freed := uint64(0)
	for waited := time.Duration(0); ; {
		err := src.free()
		var short *shortage
		if sessions == nil || !errors.As(err, &short) || !src.waitOn(short.dir) {
			return err
		}
		if freed < short.missing {
			more, ok := sessions.DropOldest()
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

// waitOn reports whether the disks that wait are on dir's filesystem, so that it
// helps there to drop them.
func (src *source) waitOn(dir string) bool {
	where := src.cfg.Session.Dir
	if where == "" || where == dir {
		return true
	}
	var a, b unix.Stat_t
	return unix.Stat(where, &a) == nil && unix.Stat(dir, &b) == nil && a.Dev == b.Dev
}

// free is why there is too little room for a disk, or nil.
func (src *source) free() error {
	err := checkFree(src.cfg.MinFree, src.server.tmpdir)
	if dir := src.cfg.Session.Dir; err == nil && dir != "" {
		err = checkFree(src.cfg.MinFree, dir)
	}
	if err != nil {
		return fmt.Errorf("parameter min-free: %w", err)
	}
	return nil
}

// roomForSpare is why no spare disk may be made now, or nil: a full filesystem
// is not tried again and again.
func (src *source) roomForSpare() error {
	if err := src.free(); err != nil {
		return err
	}
	return checkFree(config.MinFree{Bytes: src.maker.Space()}, src.server.tmpdir)
}
