// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package disk

import (
	"bytes"
	"errors"
	"math"
	"os"
	"slices"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

type extent struct {
	off, length uint64
	hole        bool
}

func extentsOf(t *testing.T, d *Disk, count uint32, off uint64, reqOne bool) []extent {
	t.Helper()
	var got []extent
	err := d.Extents(count, off, reqOne, func(off, length uint64, hole bool) error {
		got = append(got, extent{off, length, hole})
		return nil
	})
	testkit.Must(t, err)
	return got
}

func TestExtents(t *testing.T) {
	const unit = 64 << 10 // no filesystem's block is larger
	d := blankDisk(t, t.TempDir(), 8*unit)
	for _, at := range []uint64{1, 2, 5} { // hole, data, data, hole, hole, data, hole, hole
		testkit.Must(t, d.PWrite(bytes.Repeat([]byte{1}, unit), at*unit))
	}
	if first := extentsOf(t, d, unit, 0, true); !first[0].hole {
		t.Skip("TMPDIR's filesystem has no SEEK_HOLE")
	}
	cases := []struct {
		name       string
		count, off int
		reqOne     bool
		want       []extent
	}{
		{"all", 8 * unit, 0, false, []extent{
			{0, unit, true}, {unit, 2 * unit, false}, {3 * unit, 2 * unit, true},
			{5 * unit, unit, false}, {6 * unit, 2 * unit, true}}},
		{"all, one", 8 * unit, 0, true, []extent{{0, unit, true}}},
		{"data, one", 6 * unit, unit, true, []extent{{unit, 2 * unit, false}}},
		{"clipped at both ends", 2 * unit, unit + 100, false, []extent{
			{unit + 100, 2*unit - 100, false}, {3 * unit, 100, true}}},
		{"clipped data", 100, unit + 7, false, []extent{{unit + 7, 100, false}}},
		{"clipped hole", 100, 7, false, []extent{{7, 100, true}}},
		{"after the last data", unit, 7 * unit, false, []extent{{7 * unit, unit, true}}},
		{"one byte at the end", 1, 8*unit - 1, false, []extent{{8*unit - 1, 1, true}}},
		{"nothing", 0, unit, false, nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := extentsOf(t, d, uint32(c.count), uint64(c.off), c.reqOne)
			if !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

// One answer goes through so many runs at most, and the next goes on from there.
func TestExtentsAreBounded(t *testing.T) {
	const unit = 64 << 10
	d := blankDisk(t, t.TempDir(), 3*maxExtents*unit)
	for at := uint64(unit); at < uint64(d.Size()); at += 2 * unit {
		testkit.Must(t, d.PWrite([]byte{1}, at))
	}
	if first := extentsOf(t, d, 1, 0, true); !first[0].hole {
		t.Skip("TMPDIR's filesystem has no SEEK_HOLE")
	}
	sizes, end := []int{}, uint64(0)
	for end < uint64(d.Size()) {
		got := extentsOf(t, d, uint32(uint64(d.Size())-end), end, false)
		sizes = append(sizes, len(got))
		for i, e := range got {
			if e.off != end || e.hole != (i%2 == 0) {
				t.Fatalf("run %d from %d: got %+v", i, end, e)
			}
			end += e.length
		}
	}
	if want := []int{maxExtents, maxExtents, maxExtents}; !slices.Equal(sizes[:min(3, len(sizes))], want) {
		t.Errorf("got answers of %v runs, want %v", sizes, want)
	}
}

func TestExtentsWithoutSeekHole(t *testing.T) {
	d := blankDisk(t, t.TempDir(), 1<<20)
	d.noSeek.Store(true)
	want := []extent{{5, 1000, false}}
	if got := extentsOf(t, d, 1000, 5, false); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// What may not see data at once is not asked.
func TestExtentsOfAnUnknownFilesystem(t *testing.T) {
	d := blankDisk(t, testkit.FUSE(t), 1<<20)
	if !d.noSeek.Load() {
		t.Error("the filesystem is asked for holes, want not")
	}
	want := []extent{{0, 1 << 20, false}}
	if got := extentsOf(t, d, 1<<20, 0, false); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestExtentsStopsWhereAddFails(t *testing.T) {
	d := blankDisk(t, t.TempDir(), 1<<20)
	testkit.Must(t, d.PWrite([]byte{1}, 0))
	full := errors.New("full")
	calls := 0
	err := d.Extents(1<<20, 0, false, func(_, _ uint64, _ bool) error { calls++; return full })
	if err != full || calls != 1 {
		t.Errorf("got %v after %d calls, want %v after 1", err, calls, full)
	}
}

func TestExtentsOfTheLargestCount(t *testing.T) {
	d := blankDisk(t, t.TempDir(), 6<<30)
	const count = 1<<32 - 1
	var sum uint64
	for _, e := range extentsOf(t, d, count, 1<<30, false) {
		sum += e.length
	}
	if sum != count {
		t.Errorf("got extents of %d bytes, want %d", sum, uint64(count))
	}
}

// tmpfs can have the largest file there can be.
func TestExtentsOfLargestFile(t *testing.T) {
	dir, err := os.MkdirTemp("/dev/shm", "tmpdisk-test-")
	if err != nil {
		t.Skip("needs /dev/shm: ", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	const size, page = math.MaxInt64, 4096
	d := blankDisk(t, dir, size)
	testkit.Must(t, d.PWrite([]byte{1}, size-1))
	const last = size - (page - 1) // the page is a byte short
	want := []extent{{last - page, page, true}, {last, page - 1, false}}
	if got := extentsOf(t, d, 2*page-1, last-page, false); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
