// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Cache asks the kernel to read count bytes at off ahead of a request for them
// (nbdkit's .cache). It is advice: that it cannot be taken is no error.
func (d *Disk) Cache(count uint32, off uint64) error {
	if err := d.check(uint64(count), off); err != nil {
		return err
	}
	d.touch()
	if count == 0 { // which fadvise takes for "to the end"
		return nil
	}
	if err := unix.Fadvise(d.fd, int64(off), int64(count), unix.FADV_WILLNEED); err != nil {
		d.host.Debug(fmt.Sprintf("cache: offset %d, count %d: %v (ignored)", off, count, err))
	}
	return nil
}
