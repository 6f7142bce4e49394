// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package disk

import (
	"reflect"
	"testing"
)

func TestSplit(t *testing.T) {
	for _, c := range []struct{ whole, first, rest Request }{
		{Request{Op: Write, Flags: FUA, Offset: 7, Buf: []byte("abc")},
			Request{Op: Write, Flags: FUA, Offset: 7, Buf: []byte("a")},
			Request{Op: Write, Flags: FUA, Offset: 8, Buf: []byte("bc")}},
		{Request{Op: Zero, Flags: Fast, Offset: 1 << 40, Count: 1<<32 - 1},
			Request{Op: Zero, Flags: Fast, Offset: 1 << 40, Count: 1},
			Request{Op: Zero, Flags: Fast, Offset: 1<<40 + 1, Count: 1<<32 - 2}},
	} {
		first, rest := c.whole.Split(1)
		if !reflect.DeepEqual(first, c.first) || !reflect.DeepEqual(rest, c.rest) {
			t.Errorf("%+v: got %+v and %+v, want %+v and %+v", c.whole, first, rest, c.first, c.rest)
		}
	}
}

func (d *Disk) Trim(count uint32, off uint64) error {
	return d.Do(Request{Op: Trim, Count: count, Offset: off})
}

func (d *Disk) Zero(count uint32, off uint64, mayTrim, fast bool) error {
	return d.Do(Request{Op: Zero, Flags: flag(MayTrim, mayTrim) | flag(Fast, fast), Count: count, Offset: off})
}

func (d *Disk) Extents(count uint32, off uint64, one bool, add func(off, length uint64, hole bool) error) error {
	return d.Do(Request{Op: Extents, Flags: flag(One, one), Count: count, Offset: off, Add: add})
}

func (d *Disk) Cache(count uint32, off uint64) error {
	return d.Do(Request{Op: Cache, Count: count, Offset: off})
}

func flag(f Flags, set bool) Flags {
	if set {
		return f
	}
	return 0
}
