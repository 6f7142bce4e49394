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
