// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package disk

import (
	"fmt"
	"math"

	"golang.org/x/sys/unix"
)

// MaxExtents bounds what one answer costs: on a disk of 120,000 runs, the whole of it
// took a second. A client asks again from where the answer ends.
const MaxExtents = 1000

// extents calls r.Add as Request says, at most MaxExtents times (nbdkit's .extents):
// nbdkit 1.32 aborts on a first extent that is longer than the request. Where the
// filesystem is not known to tell the truth everything is data, see sys.FSType.TellsHoles.
//
// Other requests may run meanwhile: what is said about a range that they
// change is true of some moment of the call. The file's own position is used
// by nothing else, and every lseek is absolute.
func (d *Disk) extents(r Request) error {
	most := MaxExtents
	if r.Has(One) {
		most = 1
	}
	off, end := r.Offset, r.Offset+r.Len()
	for ; off < end && most > 0; most-- {
		next, hole, err := d.extent(off, end)
		if err != nil {
			return err
		}
		if err := r.Add(off, next-off, hole); err != nil {
			return err
		}
		off = next
	}
	return nil
}

// seekEnd is where the last page that a file can have begins. tmpfs has it
// wrong when asked what is there (Linux 6.18): it is a hole, whatever was written.
const seekEnd = math.MaxInt64 &^ 4095

// extent says what begins at off, and where it ends, which is at end at the
// latest and after off.
func (d *Disk) extent(off, end uint64) (next uint64, hole bool, err error) {
	if d.noSeek.Load() || off >= seekEnd {
		return end, false, nil
	}
	end = min(end, seekEnd)
	data, err := unix.Seek(d.fd, int64(off), unix.SEEK_DATA)
	switch {
	case err == unix.ENXIO: // no data from here on
		return end, true, nil
	case err == nil && uint64(data) > off:
		return min(uint64(data), end), true, nil
	case err == nil:
		var start int64
		start, err = unix.Seek(d.fd, int64(off), unix.SEEK_HOLE)
		if err == nil && uint64(start) > off {
			return min(uint64(start), end), false, nil
		}
		if err == nil || err == unix.ENXIO { // punched since: ask again another time
			return end, false, nil
		}
	}
	if err == unix.EINVAL || err == unix.EOPNOTSUPP || err == unix.ENOSYS {
		if !d.noSeek.Swap(true) {
			d.debug(fmt.Sprintf("extents: SEEK_DATA: %v (ignored)", err))
		}
		return end, false, nil
	}
	return 0, false, fmt.Errorf("extents: offset %d: %w", off, err)
}
