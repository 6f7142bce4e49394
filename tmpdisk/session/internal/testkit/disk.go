// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package testkit

import (
	"context"
	"encoding/binary"
	"os"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/overlay"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
)

const (
	BlockSize = 16      // bytes that a test writes at a time
	Size      = 1 << 20 // of a disk, in bytes
)

// A, B and C are keys of sessions.
var A, B, C = keep.NewKey("e", "a", ""), keep.NewKey("e", "b", ""), keep.NewKey("e", "c", "")

// Block is what a test writes: who did it, and which of its writes it was.
func Block(conn, seq int) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(conn))
	return binary.BigEndian.AppendUint64(b, uint64(seq))
}

// Unblock reverses Block.
func Unblock(b []byte) (conn, seq int) {
	return int(binary.BigEndian.Uint64(b)), int(binary.BigEndian.Uint64(b[8:]))
}

// A Maker makes a disk.
type Maker = func(context.Context) (disk.Interface, error)

// overBases has all disks stand on a base: the environment says so.
var overBases = os.Getenv("TMPDISK_TEST_OVER_BASES") != ""

// Blank makes a disk of so many bytes that is an unnamed file in dir.
func Blank(dir string, size int64) Maker {
	plain := blank(dir, size)
	if !overBases {
		return plain
	}
	return func(ctx context.Context) (disk.Interface, error) {
		base, err := plain(ctx)
		if err != nil {
			return nil, err
		}
		return Over(ctx, base, plain)
	}
}

// Over makes a disk over base, which is given away, in a file that make makes.
func Over(ctx context.Context, base disk.Interface, make Maker) (disk.Interface, error) {
	b, err := overlay.Own(base.(*disk.Disk), "", "test")
	if err != nil {
		return nil, err
	}
	defer b.Release()
	own, err := make(ctx)
	if err != nil {
		return nil, err
	}
	return overlay.New(own.(*disk.Disk), b)
}

func blank(dir string, size int64) Maker {
	return func(context.Context) (disk.Interface, error) {
		fd, err := sparse.Unnamed(dir, true)
		if err != nil {
			return nil, err
		}
		if err := unix.Ftruncate(fd, size); err != nil {
			unix.Close(fd)
			return nil, err
		}
		return disk.FromFD(fd, func(string) {})
	}
}
