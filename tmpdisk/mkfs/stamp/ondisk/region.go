// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package ondisk

import "slices"

// A Region is a piece of the disk that has an identity, or depends on one.
type Region struct {
	Offsets []int64 // on the disk, in bytes: there may be copies
	Data    []byte  // what stands at each of them
	Fields  []Field
	Sum     func(data []byte) // sets the checksum in data; nil if there is none
}

// A Field is bytes of a Region that are not the same on each disk, or not the
// same as on the mold.
type Field struct {
	Offsets []int // in the Region's Data
	Of      func(id ID) []byte
}

// With returns the Region's Data for the disk whose identity is id.
func (r Region) With(id ID) []byte {
	data := slices.Clone(r.Data)
	for _, f := range r.Fields {
		value := f.Of(id)
		for _, off := range f.Offsets {
			copy(data[off:], value)
		}
	}
	if r.Sum != nil {
		r.Sum(data)
	}
	return data
}
