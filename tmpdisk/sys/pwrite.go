// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Pwrite writes all of buf to the file that fd is open on, from off on. n is how many
// bytes were written if it fails. It allocates nothing unless it fails.
func Pwrite(fd int, buf []byte, off int64) (n int, err error) {
	for n < len(buf) {
		m, err := unix.Pwrite(fd, buf[n:], off+int64(n))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return n, err
		case m == 0:
			return n, fmt.Errorf("nothing was written: %w", unix.EIO)
		}
		n += m
	}
	return n, nil
}
