// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package disk

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// blankDisk is a disk of size zeroes on a file in dir that has no name.
func blankDisk(t testing.TB, dir string, size int64) *Disk {
	t.Helper()
	path := filepath.Join(dir, "disk")
	testkit.Must(t, os.WriteFile(path, nil, 0o600))
	testkit.Must(t, os.Truncate(path, size))
	d, err := Open(path, testkit.Debug(t))
	testkit.Must(t, err)
	t.Cleanup(func() { closeDisk(t, d) })
	testkit.Must(t, os.Remove(path))
	return d
}

func closeDisk(t testing.TB, d *Disk) {
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestPreferredBlock(t *testing.T) {
	cases := []struct {
		blksize int64
		want    uint32
	}{
		{4096, 4096}, {512, 512}, {131072, 131072}, {32 << 20, 32 << 20},
		{0, 4096}, {-1, 4096}, {256, 4096}, {64 << 20, 4096}, {5000, 4096}, {3 << 20, 4096},
	}
	for _, c := range cases {
		if got := preferredBlock(c.blksize); got != c.want {
			t.Errorf("preferredBlock(%d): got %d, want %d", c.blksize, got, c.want)
		}
	}
}

func TestDiskBlockSize(t *testing.T) {
	d := blankDisk(t, t.TempDir(), 1<<20)
	minimum, preferred, maximum := d.BlockSize()
	if minimum != 1 || maximum != math.MaxUint32 || preferred < 512 || preferred > 32<<20 {
		t.Errorf("got %d, %d, %d, want 1, 512 to 32M, %d", minimum, preferred, maximum, uint32(math.MaxUint32))
	}
}

func TestDiskTouched(t *testing.T) {
	buf := make([]byte, 10)
	nothing := func(_, _ uint64, _ bool) error { return nil }
	cases := []struct {
		name string
		do   func(d *Disk) error
		want bool
	}{
		{"nothing", func(d *Disk) error { return nil }, false},
		{"questions", func(d *Disk) error { d.Size(); d.BlockSize(); return d.Extents(10, 0, false, nothing) }, false},
		{"read", func(d *Disk) error { return d.PRead(buf, 0) }, true},
		{"write", func(d *Disk) error { return d.PWrite(buf, 0) }, true},
		{"trim", func(d *Disk) error { return d.Trim(10, 0) }, true},
		{"zero", func(d *Disk) error { return d.Zero(10, 0, false, false) }, true},
		{"cache", func(d *Disk) error { return d.Cache(10, 0) }, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := blankDisk(t, t.TempDir(), 1<<20)
			testkit.Must(t, c.do(d))
			if got := d.Touched(); got != c.want {
				t.Errorf("got %t, want %t", got, c.want)
			}
		})
	}
}

func TestDiskCloseTwice(t *testing.T) {
	d := blankDisk(t, t.TempDir(), 1)
	fd := d.fd
	testkit.Must(t, d.Close())
	// The number goes to another file, which the second Close must not touch.
	other, err := os.Open("/dev/null")
	testkit.Must(t, err)
	defer other.Close()
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if other.Fd() != uintptr(fd) {
		t.Skip("the descriptor was taken by something else")
	}
	if _, err := other.Stat(); err != nil {
		t.Errorf("another file was closed: %v", err)
	}
}

func TestDiskOnClose(t *testing.T) {
	d := blankDisk(t, t.TempDir(), 1)
	held := errors.New("held")
	calls := 0
	d.OnClose = func() error {
		calls++
		if _, err := unix.FcntlInt(uintptr(d.fd), unix.F_GETFD, 0); err != unix.EBADF {
			t.Errorf("got %v, want the file closed before", err)
		}
		return held
	}
	if err := d.Close(); !errors.Is(err, held) {
		t.Errorf("got %v, want %v", err, held)
	}
	if err := d.Close(); err != nil || calls != 1 {
		t.Errorf("closed twice: got %v, %d calls, want 1", err, calls)
	}
}

// A command may leave a file that cannot be written to.
func TestDiskReadOnly(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write to any file")
	}
	path := filepath.Join(t.TempDir(), "disk")
	testkit.Must(t, os.WriteFile(path, make([]byte, 1<<20), 0o400))
	d, err := Open(path, testkit.Debug(t))
	testkit.Must(t, err)
	t.Cleanup(func() { closeDisk(t, d) })
	checkReadOnly(t, d)
}

// checkReadOnly wants every change refused and every question answered.
func checkReadOnly(t *testing.T, d *Disk) {
	t.Helper()
	if !d.ReadOnly() {
		t.Error("got a writable disk, want a read-only one")
	}
	buf := make([]byte, 10)
	if err := d.PRead(buf, 0); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"write": d.PWrite(buf, 0),
		"trim":  d.Trim(10, 0),
		"zero":  d.Zero(10, 0, true, false),
	} {
		if !errors.Is(err, unix.EROFS) {
			t.Errorf("%s: got %v, want EROFS", name, err)
		}
	}
}
