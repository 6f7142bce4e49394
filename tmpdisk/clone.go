// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// The three ways to clone a file, from nearly free to slow.
const (
	byReflink   = "reflink"         // shares the blocks: xfs, btrfs, bcachefs, NFS 4.2
	byCopyRange = "copy_file_range" // copied by the kernel
	byReadWrite = "read and write"  // between types of filesystem, and old kernels
)

// cloneResult says for the log how a clone came to be.
type cloneResult struct {
	how    string
	copied int64 // bytes; 0 if none had to be
	took   time.Duration
}

func (r cloneResult) String() string {
	if r.how == byReflink {
		return fmt.Sprintf("by %s in %s", r.how, short(r.took))
	}
	return fmt.Sprintf("by %s of %d bytes in %s", r.how, r.copied, short(r.took))
}

// short is a duration for the log, to the microsecond.
func short(d time.Duration) string { return d.Round(time.Microsecond).String() }

// cloneOptions are all off when a client waits for the clone.
type cloneOptions struct {
	// findZeroes makes holes of blocks of zeroes, which takes reading them:
	// what is cloned often is worth it once.
	findZeroes bool
	// copyOnly and readWriteOnly leave out the faster ways.
	copyOnly, readWriteOnly bool
}

// cloneFile makes the empty file dst, which must be open for writing, the same
// as the regular file src. Holes, and what was allocated but never written,
// are holes in dst. The caller removes dst after an error, ctx's end included.
func cloneFile(ctx context.Context, dst, src int, o cloneOptions) (cloneResult, error) {
	began := time.Now()
	r, err := cloneBest(ctx, dst, src, o)
	r.took = time.Since(began)
	if err != nil {
		return r, fmt.Errorf("clone: %w", err)
	}
	return r, nil
}

func cloneBest(ctx context.Context, dst, src int, o cloneOptions) (cloneResult, error) {
	if err := ctx.Err(); err != nil {
		return cloneResult{}, fmt.Errorf("%s: %w", whyCancelled(err), err)
	}
	if writtenInPlace(src) {
		writeInPlace(dst) // btrfs shares blocks only between files that are alike
	}
	if !o.copyOnly && !o.readWriteOnly {
		err := ignoringEINTR(func() error { return unix.IoctlFileClone(dst, src) })
		switch {
		case err == nil:
			return cloneResult{how: byReflink}, nil
		case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
			return cloneResult{}, fmt.Errorf("reflink: %w", err)
		}
		// What else goes wrong here is not what it seems on every
		// filesystem; what goes wrong with a copy is.
	}
	var st unix.Stat_t
	if err := unix.Fstat(src, &st); err != nil {
		return cloneResult{}, fmt.Errorf("fstat: %w", err)
	}
	if err := ignoringEINTR(func() error { return unix.Ftruncate(dst, st.Size) }); err != nil {
		return cloneResult{}, fmt.Errorf("truncate: %d bytes: %w", st.Size, err)
	}
	c := copier{dst: dst, src: src, readWrite: o.readWriteOnly || o.findZeroes, findZeroes: o.findZeroes}
	err := c.copySparse(ctx, st.Size)
	r := cloneResult{how: byCopyRange, copied: c.copied}
	if c.readWrite {
		r.how = byReadWrite
	}
	return r, err
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

func (c *copier) copySparse(ctx context.Context, size int64) error {
	for off := int64(0); off < size; {
		data, err := seek(c.src, off, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // a hole to the end
		}
		if err != nil {
			return fmt.Errorf("find data: offset %d: %w", off, err)
		}
		hole, err := seek(c.src, data, unix.SEEK_HOLE)
		if err != nil {
			return fmt.Errorf("find hole: offset %d: %w", data, err)
		}
		for off = data; off < min(hole, size); {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("%s: %w", whyCancelled(err), err)
			}
			n, err := c.step(off, min(hole, size, off+copyStep)-off)
			if err != nil {
				return err
			}
			off += n
		}
	}
	return nil
}

func seek(fd int, off int64, whence int) (int64, error) {
	for {
		n, err := unix.Seek(fd, off, whence)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// step copies some of count bytes at off, at least one.
func (c *copier) step(off, count int64) (int64, error) {
	if !c.readWrite {
		from, to := off, off
		n, err := ignoringEINTR2(func() (int, error) {
			return unix.CopyFileRange(c.src, &from, c.dst, &to, int(count), 0)
		})
		switch {
		case err == nil && n > 0:
			c.copied += int64(n)
			return int64(n), nil
		case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT), errors.Is(err, unix.EIO):
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
	n, err := ignoringEINTR2(func() (int, error) { return unix.Pread(c.src, buf, off) })
	if err != nil {
		return 0, fmt.Errorf("read: offset %d: %w", off, err)
	}
	if n == 0 {
		return 0, fmt.Errorf("read: offset %d: the file has become shorter: %w", off, unix.EIO)
	}
	return int64(n), c.write(buf[:n], off)
}

// zeroGrain is the smallest hole that findZeroes makes, and its alignment.
// Larger than most blocks: each hole costs a system call in every clone.
const zeroGrain = 64 << 10

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
	for len(buf) > 0 {
		n, err := ignoringEINTR2(func() (int, error) { return unix.Pwrite(c.dst, buf, off) })
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		c.copied += int64(n)
		buf, off = buf[n:], off+int64(n)
	}
	return nil
}
