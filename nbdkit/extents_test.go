// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"errors"
	"math"
	"slices"
	"syscall"
	"testing"
)

type extent struct {
	offset, length uint64
	kind           uint32
}

func TestExtentsAdd(t *testing.T) {
	const hole = 3 // ExtentHole | ExtentZero
	failed := errors.New("server says no")
	tests := []struct {
		name  string
		add   []extent
		want  []extent // what reaches the server, of a request of 100 at 1000
		errAt int      // index of the Add that fails, or -1
	}{
		{"exact", []extent{{1000, 100, 0}}, []extent{{1000, 100, 0}}, -1},
		{"two", []extent{{1000, 40, 0}, {1040, 60, hole}}, []extent{{1000, 40, 0}, {1040, 60, hole}}, -1},
		{"the whole disk", []extent{{0, 1 << 40, 0}}, []extent{{1000, 100, 0}}, -1},
		{"begins before", []extent{{900, 150, 0}, {1050, 50, 0}}, []extent{{1000, 50, 0}, {1050, 50, 0}}, -1},
		{"wholly before is ignored", []extent{{0, 1000, 0}, {1000, 1, 0}}, []extent{{1000, 1, 0}}, -1},
		{"wholly after is ignored", []extent{{1000, 100, 0}, {1100, 5, hole}}, []extent{{1000, 100, 0}}, -1},
		{"shorter than asked", []extent{{1000, 1, hole}}, []extent{{1000, 1, hole}}, -1},
		{"empty is ignored", []extent{{1000, 0, 0}, {1000, 2, 0}}, []extent{{1000, 2, 0}}, -1},
		{"up to the last byte", []extent{{0, math.MaxUint64, 0}}, []extent{{1000, 100, 0}}, -1},
		{"first one late", []extent{{1001, 10, 0}}, nil, 0},
		{"gap", []extent{{1000, 10, 0}, {1011, 10, 0}}, []extent{{1000, 10, 0}}, 1},
		{"overlap", []extent{{1000, 10, 0}, {1009, 10, 0}}, []extent{{1000, 10, 0}}, 1},
		{"descending", []extent{{1000, 10, 0}, {1000, 5, 0}}, []extent{{1000, 10, 0}}, 1},
		{"overflow", []extent{{1000, math.MaxUint64, 0}}, nil, 0},
		{"no such type", []extent{{1000, 10, 4}}, nil, 0},
		{"the server fails", []extent{{1000, 10, 2}}, nil, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var got []extent
			e := newExtents(func(offset, length uint64, kind uint32) error {
				if kind == 2 {
					return failed
				}
				got = append(got, extent{offset, length, kind})
				return nil
			}, 100, 1000)
			for i, x := range test.add {
				err := e.Add(x.offset, x.length, x.kind)
				if (err != nil) != (i == test.errAt) {
					t.Errorf("Add(%v): got error %v, want one at index %d", x, err, test.errAt)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("server: got %v, want %v", got, test.want)
			}
			if err := e.check(); (err == nil) != (len(test.want) > 0) {
				t.Errorf("check: got %v with %d extents", err, len(test.want))
			}
		})
	}
}

func TestExtentsAtTheEndOfTheLargestDisk(t *testing.T) {
	var got []extent
	e := newExtents(func(offset, length uint64, kind uint32) error {
		got = append(got, extent{offset, length, kind})
		return nil
	}, math.MaxUint32, math.MaxInt64-math.MaxUint32)
	if err := e.Add(0, math.MaxInt64, 0); err != nil {
		t.Fatal(err)
	}
	want := []extent{{math.MaxInt64 - math.MaxUint32, math.MaxUint32, 0}}
	if !slices.Equal(got, want) {
		t.Errorf("server: got %v, want %v", got, want)
	}
}

func TestAddAfterTheCallback(t *testing.T) {
	e := newExtents(func(uint64, uint64, uint32) error {
		t.Error("the server got an extent after the callback")
		return nil
	}, 100, 0)
	e.over()
	if err := e.Add(0, 100, 0); !errors.Is(err, errExtentsOver) {
		t.Errorf("Extents.Add: got %v, want %v", err, errExtentsOver)
	}
	var x Exports
	if err := x.Add("name", ""); !errors.Is(err, errExportsOver) {
		t.Errorf("Exports.Add: got %v, want %v", err, errExportsOver)
	}
	if err := x.UseDefault(); !errors.Is(err, errExportsOver) {
		t.Errorf("Exports.UseDefault: got %v, want %v", err, errExportsOver)
	}
}

func TestExtentsErrno(t *testing.T) {
	err := newExtents(nil, 1, 0).check()
	if got, _ := errnoOf(err); got != syscall.EINVAL {
		t.Errorf("errno when nothing was added: got %v, want EINVAL", got)
	}
}
