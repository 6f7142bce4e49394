// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package disk

import (
	"bytes"
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// fullDisk is 1 MiB of 0xff.
func fullDisk(t testing.TB, dir string) *Disk {
	t.Helper()
	d := blankDisk(t, dir, 1<<20)
	testkit.Must(t, d.PWrite(bytes.Repeat([]byte{0xff}, 1<<20), 0))
	return d
}

// onServer is how many bytes the file takes on the server.
func onServer(t testing.TB, d *Disk) int64 {
	t.Helper()
	var st unix.Stat_t
	testkit.Must(t, unix.Fstat(d.fd, &st))
	return st.Blocks * 512
}

// wantZeroed wants zeroes in [from, to), and nothing else changed.
func wantZeroed(t *testing.T, d *Disk, from, to int) {
	t.Helper()
	want := bytes.Repeat([]byte{0xff}, 1<<20)
	clear(want[from:to])
	got := make([]byte, 1<<20)
	testkit.Must(t, d.PRead(got, 0))
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("zeroed %d to %d: byte %d: got %#x, want %#x", from, to, i, got[i], want[i])
		}
	}
}

// crippled makes the disk behave like one on a lesser filesystem.
var crippled = []struct {
	name string
	do   func(d *Disk)
}{
	{"as it is", func(*Disk) {}},
	{"no ZERO_RANGE", func(d *Disk) { d.noZeroRange.Store(true) }},
	{"no allocation", func(d *Disk) { d.noZeroRange.Store(true); d.noAllocate.Store(true) }},
	{"nothing", func(d *Disk) { d.noPunch.Store(true); d.noZeroRange.Store(true); d.noAllocate.Store(true) }},
}

var ranges = [][2]int{{0, 1 << 20}, {4096, 8192}, {1, 2}, {4095, 4097}, {5000, 900001}, {1<<20 - 1, 1 << 20}, {77, 77}}

func TestZero(t *testing.T) {
	for _, c := range crippled {
		for _, mayTrim := range []bool{false, true} {
			name := c.name
			if mayTrim {
				name += ", may trim"
			}
			t.Run(name, func(t *testing.T) {
				for _, r := range ranges {
					d := fullDisk(t, t.TempDir())
					c.do(d)
					before := onServer(t, d)
					testkit.Must(t, d.Zero(uint32(r[1]-r[0]), uint64(r[0]), mayTrim, false))
					wantZeroed(t, d, r[0], r[1])
					if got := onServer(t, d); !mayTrim && got < before {
						t.Errorf("%v: got %d bytes allocated, want %d still", r, got, before)
					}
				}
			})
		}
	}
}

func TestZeroGivesSpaceBack(t *testing.T) {
	d := fullDisk(t, t.TempDir())
	if err := d.Zero(1<<20, 0, true, true); errors.Is(err, unix.EOPNOTSUPP) {
		t.Skip("TMPDIR's filesystem cannot punch holes")
	} else if err != nil {
		t.Fatal(err)
	}
	if got := onServer(t, d); got != 0 {
		t.Errorf("got %d bytes allocated, want 0", got)
	}
}

// A disk that is all holes must take its space if it may not trim.
func TestZeroAllocates(t *testing.T) {
	d := blankDisk(t, t.TempDir(), 1<<20)
	testkit.Must(t, d.Zero(1<<20, 0, false, false))
	if got := onServer(t, d); got < 1<<20 {
		t.Errorf("got %d bytes allocated, want at least %d", got, 1<<20)
	}
}

func TestFastZeroChangesNothingIfItFails(t *testing.T) {
	cases := []struct {
		name    string
		mayTrim bool
		cripple func(d *Disk)
	}{
		{"no ZERO_RANGE", false, func(d *Disk) { d.noZeroRange.Store(true) }},
		{"nothing", true, func(d *Disk) { d.noPunch.Store(true); d.noZeroRange.Store(true) }},
		{"a device", false, func(d *Disk) { d.isDevice = true }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := fullDisk(t, t.TempDir())
			c.cripple(d)
			if err := d.Zero(100000, 5000, c.mayTrim, true); !errors.Is(err, unix.EOPNOTSUPP) {
				t.Errorf("got %v, want EOPNOTSUPP", err)
			}
			wantZeroed(t, d, 0, 0)
		})
	}
}

// tmpfs has no ZERO_RANGE, which must be found out once and not passed on.
func TestZeroOnTmpfs(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "tmpdisk-test-")
	if err != nil {
		t.Skip("needs /dev/shm: ", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	d := fullDisk(t, dir)
	for _, fast := range []bool{true, false} {
		err := d.Zero(100000, 5000, false, fast)
		if fast && err == nil {
			t.Skip("this kernel's tmpfs has ZERO_RANGE")
		}
		if fast != errors.Is(err, unix.EOPNOTSUPP) {
			t.Errorf("fast %t: got %v", fast, err)
		}
	}
	wantZeroed(t, d, 5000, 105000)
	if got := onServer(t, d); got != 1<<20 {
		t.Errorf("got %d bytes allocated, want %d", got, 1<<20)
	}
	if !d.noZeroRange.Load() {
		t.Error("got another try at ZERO_RANGE next time, want none")
	}
}

func TestTrim(t *testing.T) {
	for _, r := range ranges {
		d := fullDisk(t, t.TempDir())
		testkit.Must(t, d.Trim(uint32(r[1]-r[0]), uint64(r[0])))
		if d.noPunch.Load() {
			t.Skip("TMPDIR's filesystem cannot punch holes")
		}
		wantZeroed(t, d, r[0], r[1])
	}
	d := fullDisk(t, t.TempDir())
	testkit.Must(t, d.Trim(1<<20, 0))
	if got := onServer(t, d); got != 0 {
		t.Errorf("got %d bytes allocated, want 0", got)
	}
}

func TestTrimWithoutPunch(t *testing.T) {
	d := fullDisk(t, t.TempDir())
	d.noPunch.Store(true)
	if err := d.Trim(1<<20, 0); err != nil {
		t.Errorf("got %v, want no error", err)
	}
	wantZeroed(t, d, 0, 0)
}

// More than one call's worth, and more than 32 bits hold in bytes times two.
func TestZeroAndTrimOfTheLargestCount(t *testing.T) {
	d := blankDisk(t, t.TempDir(), 5<<30)
	const count = 1<<32 - 1
	last := []uint64{0, count - 1, count}
	for name, do := range map[string]func() error{
		"zero": func() error { return d.Zero(count, 0, true, false) },
		"trim": func() error { return d.Trim(count, 0) },
	} {
		for _, off := range last {
			testkit.Must(t, d.PWrite([]byte{0xff}, off))
		}
		if err := do(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if d.noPunch.Load() {
			t.Skip("TMPDIR's filesystem cannot punch holes")
		}
		for i, off := range last {
			var got [1]byte
			if err := d.PRead(got[:], off); err != nil || (got[0] == 0) != (i < 2) {
				t.Errorf("%s: offset %d: got %#x (%v)", name, off, got[0], err)
			}
		}
	}
}

func TestInner(t *testing.T) {
	cases := []struct{ from, to, unit, wantFrom, wantTo uint64 }{
		{0, 1024, 512, 0, 1024}, {1, 1024, 512, 512, 1024}, {1, 1023, 512, 512, 512},
		{1, 511, 512, 512, 0}, {7, 9, 1, 7, 9}, {4095, 4097, 4096, 4096, 4096},
	}
	for _, c := range cases {
		if from, to := inner(c.from, c.to, c.unit); from != c.wantFrom || to != c.wantTo {
			t.Errorf("inner(%d, %d, %d): got %d, %d, want %d, %d", c.from, c.to, c.unit, from, to, c.wantFrom, c.wantTo)
		}
	}
}

// GlusterFS says that it zeroes a range, and does not.
func TestZeroRangeOnlyWhereItIsTrusted(t *testing.T) {
	cases := []struct {
		name string
		dir  func(testing.TB) string
		want bool
	}{
		{"tmpfs", func(t testing.TB) string { return testkit.Tmpfs(t, "1M") }, true},
		{"FUSE", testkit.FUSE, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := blankDisk(t, c.dir(t), 4096)
			if got := !d.noZeroRange.Load(); got != c.want {
				t.Errorf("got %t, want %t", got, c.want)
			}
		})
	}
}
