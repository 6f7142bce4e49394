// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package overlay

import (
	"errors"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
)

// errEnough ends an answer that has as many runs as it may have.
var errEnough = errors.New("enough runs")

// extents says of each block what the file says that it is read from; behind the end of
// the base there is a hole. One answer has no more runs than one of package disk.
func (d *Disk) extents(r disk.Request) error {
	off, end := r.Offset, r.Offset+r.Len()
	add, left := r.Add, disk.MaxExtents
	if r.Has(disk.One) {
		left = 1
	}
	r.Add = func(at, length uint64, hole bool) error {
		if left == 0 {
			return errEnough
		}
		left--
		off = at + length
		return add(at, length, hole)
	}
	var err error
	for off < end && left > 0 && err == nil {
		next, own := d.run(off, end)
		file, n := d.own, next-off
		if !own {
			file, n = d.base.image, d.base.within(off, n)
		}
		if n == 0 {
			err = r.Add(off, next-off, true)
			continue
		}
		if !own && d.base.isShort() {
			err = r.Add(off, n, false) // what is missing is no hole
			continue
		}
		r.Offset, r.Count = off, uint32(n)
		err = file.Do(r)
	}
	if err == errEnough {
		return nil
	}
	return err
}
