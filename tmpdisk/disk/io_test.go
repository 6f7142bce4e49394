// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package disk

import (
	"bytes"
	"errors"
	"math"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestReadBackWhatWasWritten(t *testing.T) {
	d := blankDisk(t, t.TempDir(), 1<<20)
	data := bytes.Repeat([]byte("0123456789"), 1000)
	for _, off := range []uint64{0, 1, 4095, 1<<20 - 10000} {
		testkit.Must(t, d.PWrite(data, off))
		got := make([]byte, len(data))
		if err := d.PRead(got, off); err != nil || !bytes.Equal(got, data) {
			t.Errorf("offset %d: got other data (%v)", off, err)
		}
	}
}

func TestRequestsBeyondTheEnd(t *testing.T) {
	d := blankDisk(t, t.TempDir(), 1000)
	buf := make([]byte, 10)
	nothing := func(_, _ uint64, _ bool) error { return nil }
	for _, off := range []uint64{991, 1000, 1001, 1 << 63, math.MaxUint64, math.MaxUint64 - 5} {
		for name, err := range map[string]error{
			"read":    d.PRead(buf, off),
			"write":   d.PWrite(buf, off),
			"trim":    d.Trim(10, off),
			"zero":    d.Zero(10, off, true, false),
			"cache":   d.Cache(10, off),
			"extents": d.Extents(10, off, false, nothing),
		} {
			if !errors.Is(err, unix.EINVAL) {
				t.Errorf("%s at %d: got %v, want EINVAL", name, off, err)
			}
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(d.fd, &st); err != nil || st.Size != 1000 {
		t.Errorf("got size %d (%v), want 1000", st.Size, err)
	}
}

func TestReadOfShrunkFile(t *testing.T) {
	d := blankDisk(t, t.TempDir(), 8192)
	testkit.Must(t, unix.Ftruncate(d.fd, 5000))
	err := d.PRead(make([]byte, 4096), 4096)
	testkit.Contains(t, err, "pread: offset 5000", "shorter")
	if !errors.Is(err, unix.EIO) {
		t.Errorf("got %v, want EIO", err)
	}
}

// The errno must reach the server through every wrapping.
func TestErrorsUnwrapToErrno(t *testing.T) {
	closed := &Disk{fd: -1, size: 4096, sector: 1, debug: testkit.Debug(t)}
	for name, err := range map[string]error{
		"read":  closed.PRead(make([]byte, 1), 0),
		"write": closed.PWrite(make([]byte, 1), 0),
		"trim":  closed.Trim(1, 0),
		"zero":  closed.Zero(1, 0, false, false),
	} {
		var errno syscall.Errno
		if !errors.As(err, &errno) || errno != unix.EBADF {
			t.Errorf("%s: got %v, want EBADF", name, err)
		}
	}
}

func TestNoSpaceLeavesTheDiskUsable(t *testing.T) {
	d := blankDisk(t, testkit.Tmpfs(t, "1M"), 8<<20)
	block := bytes.Repeat([]byte{'x'}, 64<<10)
	var err error
	off := uint64(0)
	for ; err == nil && off < 8<<20; off += uint64(len(block)) {
		err = d.PWrite(block, off)
	}
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("write: got %v, want ENOSPC", err)
	}
	if err := d.Zero(4<<20, 4<<20, false, false); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("zero: got %v, want ENOSPC", err)
	}
	if err := d.Trim(1<<20, 0); err != nil {
		t.Fatalf("trim of a full disk: %v", err)
	}
	if err := d.PWrite(block, 2<<20); err != nil {
		t.Errorf("write after trim: %v", err)
	}
	got := make([]byte, len(block))
	if err := d.PRead(got, 2<<20); err != nil || !bytes.Equal(got, block) {
		t.Errorf("got other data than written (%v)", err)
	}
}

func TestCache(t *testing.T) {
	d := blankDisk(t, t.TempDir(), 5<<30)
	for _, c := range []struct {
		name       string
		count, off uint64
	}{
		{"nothing", 0, 0}, {"a byte", 1, 12345}, {"at the end", 4096, 5<<30 - 4096}, {"the largest count", 1<<32 - 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := d.Cache(uint32(c.count), c.off); err != nil {
				t.Error(err)
			}
		})
	}
}

// It is advice, so a descriptor that cannot take it is no error to a client.
func TestCacheIgnoresFailure(t *testing.T) {
	d := &Disk{fd: -1, size: 4096, debug: testkit.Debug(t)}
	if err := d.Cache(10, 0); err != nil {
		t.Errorf("got %v, want no error", err)
	}
}
