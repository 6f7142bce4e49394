// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sparse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// The three ways to clone a file, from nearly free to slow.
const (
	byReflink   = "reflink"         // shares the blocks: xfs, btrfs, bcachefs, NFS 4.2
	byCopyRange = "copy_file_range" // copied by the kernel
	byReadWrite = "read and write"  // between types of filesystem
)

// Result says for the log how a clone came to be.
type Result struct {
	how    string
	copied int64 // bytes; 0 if none had to be
	took   time.Duration
}

func (r Result) String() string {
	if r.how == byReflink {
		return fmt.Sprintf("by %s in %s", r.how, r.took.Round(time.Microsecond))
	}
	return fmt.Sprintf("by %s of %d bytes in %s", r.how, r.copied, r.took.Round(time.Microsecond))
}

// Options are all off when a client waits for the clone.
type Options struct {
	// FindZeroes makes holes of blocks of zeroes, which takes reading them:
	// what is cloned often is worth it once.
	FindZeroes bool
	// Cuts are ascending offsets in the file. What is behind the last one is copied first,
	// and what is before the first one last: what the end of a file tells of its beginning
	// is true of the copy, whoever writes meanwhile.
	Cuts []int64
	// copyOnly and readWriteOnly leave out the faster ways.
	copyOnly, readWriteOnly bool
}

// Clone makes the empty file dst, which must be open for writing, the same
// as the regular file src. Holes, and what was allocated but never written,
// are holes in dst. The caller removes dst after an error, ctx's end included.
func Clone(ctx context.Context, dst, src int, o Options) (Result, error) {
	began := time.Now()
	r, err := cloneBest(ctx, dst, src, o)
	r.took = time.Since(began)
	if err != nil {
		return r, fmt.Errorf("clone: %w", err)
	}
	return r, nil
}

func cloneBest(ctx context.Context, dst, src int, o Options) (Result, error) {
	if err := sys.ContextError(ctx); err != nil {
		return Result{}, err
	}
	if !o.copyOnly && !o.readWriteOnly {
		err := Reflink(dst, src)
		switch {
		case err == nil:
			return Result{how: byReflink}, nil
		case sys.NoRoom(err):
			return Result{}, err
		}
		// What else goes wrong here is not what it seems on every
		// filesystem; what goes wrong with a copy is.
	}
	if err := sys.SettleHoles(src); err != nil {
		return Result{}, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(src, &st); err != nil {
		return Result{}, fmt.Errorf("fstat: %w", err)
	}
	if err := sys.Truncate(dst, st.Size); err != nil {
		return Result{}, fmt.Errorf("truncate: %d bytes: %w", st.Size, err)
	}
	// Some filesystems know of holes but do not tell where they are.
	find := o.FindZeroes
	if st.Blocks*512 < st.Size {
		from, to, err := sys.NextData(src, 0, st.Size)
		find = find || err == nil && from == 0 && to == st.Size
	}
	c := copier{dst: dst, src: src, readWrite: o.readWriteOnly || find || inUserSpace(dst), findZeroes: find}
	err := c.copyParts(ctx, append([]int64{0}, append(o.Cuts, st.Size)...))
	r := Result{how: byCopyRange, copied: c.copied}
	if c.readWrite {
		r.how = byReadWrite
	}
	return r, err
}

// Reflink makes the empty file dst share the blocks of src, so that nothing is
// copied. What is written to either later the other does not see. Where the filesystem
// cannot, the error may be any; but if it wraps ENOSPC or EDQUOT there is no room.
func Reflink(dst, src int) error {
	if writtenInPlace(src) {
		WriteInPlace(dst) // btrfs shares blocks only between files that are alike
	}
	if err := sys.Retry(func() error { return unix.IoctlFileClone(dst, src) }); err != nil {
		WriteInPlace(dst) // it will be a copy, with blocks of its own
		return fmt.Errorf("reflink: %w", err)
	}
	return nil
}

// inUserSpace is whether the file that fd is open on is on FUSE. What such a filesystem
// makes of copy_file_range is not to be relied on: one that keeps several replicas
// would have each copy what it has itself, even if that is out of date.
func inUserSpace(fd int) bool {
	t, err := sys.FSTypeOf(fd)
	return err != nil || t == unix.FUSE_SUPER_MAGIC
}

// copyStep is how many bytes are copied between two looks at the context.
const copyStep = 16 << 20

type copier struct {
	dst, src   int
	readWrite  bool // copy_file_range cannot, or must not, do it
	findZeroes bool
	copied     int64
	buf        []byte
}

// copyParts copies what is between these offsets, from the last one to the first.
func (c *copier) copyParts(ctx context.Context, at []int64) error {
	for i := len(at) - 1; i > 0; i-- {
		// Somebody may have written since the part before was copied.
		if err := sys.SettleHoles(c.src); err != nil {
			return err
		}
		if err := c.copySparse(ctx, at[i-1], at[i]); err != nil {
			return err
		}
	}
	return nil
}

func (c *copier) copySparse(ctx context.Context, off, end int64) error {
	for off < end {
		data, hole, err := sys.NextData(c.src, off, end)
		if err != nil {
			return err
		}
		for off = data; off < hole; {
			if err := sys.ContextError(ctx); err != nil {
				return err
			}
			n, err := c.step(off, min(hole, off+copyStep)-off)
			if err != nil {
				return err
			}
			off += n
		}
	}
	return nil
}

// step copies some of count bytes at off, at least one.
func (c *copier) step(off, count int64) (int64, error) {
	if !c.readWrite {
		from, to := off, off
		n, err := sys.Retry2(func() (int, error) {
			return unix.CopyFileRange(c.src, &from, c.dst, &to, int(count), 0)
		})
		switch {
		case err == nil && n > 0:
			c.copied += int64(n)
			return int64(n), nil
		case sys.NoRoom(err), errors.Is(err, unix.EIO):
			return 0, fmt.Errorf("copy: %w", err)
		}
		// EXDEV, EINVAL, ENOSYS and EOPNOTSUPP mean that this kernel has
		// no copy between these two; so does 0, for some (5.3 to 5.18).
		c.readWrite = true
	}
	if c.buf == nil {
		c.buf = make([]byte, 256<<10)
	}
	buf := c.buf[:min(count, int64(len(c.buf)))]
	n, err := sys.Retry2(func() (int, error) { return unix.Pread(c.src, buf, off) })
	if err != nil {
		return 0, fmt.Errorf("read: offset %d: %w", off, err)
	}
	if n == 0 {
		return 0, fmt.Errorf("read: offset %d: the file has become shorter: %w", off, unix.EIO)
	}
	return int64(n), c.write(buf[:n], off)
}

// zeroGrain is the smallest hole that FindZeroes makes, and its alignment.
// Larger than most blocks: each hole costs a system call in every clone.
const zeroGrain = 64 << 10

var zeroes [zeroGrain]byte

func (c *copier) write(buf []byte, off int64) error {
	if !c.findZeroes {
		return c.pwrite(buf, off)
	}
	for len(buf) > 0 {
		n := min(int64(len(buf)), zeroGrain-off%zeroGrain)
		if !bytes.Equal(buf[:n], zeroes[:n]) {
			if err := c.pwrite(buf[:n], off); err != nil {
				return err
			}
		}
		buf, off = buf[n:], off+n
	}
	return nil
}

func (c *copier) pwrite(buf []byte, off int64) error {
	n, err := sys.Pwrite(c.dst, buf, off)
	c.copied += int64(n)
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}
