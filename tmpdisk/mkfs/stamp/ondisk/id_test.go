// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package ondisk

import (
	"bytes"
	"testing"
)

func TestUUIDIsRandom(t *testing.T) {
	want := []byte("\xff\xff\xff\xff\xff\xff\x4f\xff\xbf\xff\xff\xff\xff\xff\xff\xff")
	if got := UUID(ID(bytes.Repeat([]byte{0xff}, 16))); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x, version 4", got, want)
	}
}

func TestSerialIsNeverZero(t *testing.T) {
	cases := []struct {
		name string
		id   ID
		want []byte
	}{
		{"first four bytes", ID{1, 2, 3, 4, 5}, []byte{1, 2, 3, 4}},
		{"the next that are not zero", ID{5: 9}, []byte{0, 9, 0, 0}},
		{"all zero", ID{}, []byte{1, 0, 0, 0}},
	}
	for _, c := range cases {
		if got := Serial32(c.id); !bytes.Equal(got, c.want) {
			t.Errorf("%s: got %x, want %x", c.name, got, c.want)
		}
	}
}
