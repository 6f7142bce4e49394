// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sparse

import (
	"fmt"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Create makes a file of size bytes at path, of mode 0600, that is one hole.
// With inPlace it is written in place on btrfs, see WriteInPlace. The error
// wraps EFBIG where no file can be that large.
func Create(path string, size int64, inPlace bool) error {
	fd, err := sys.Retry2(func() (int, error) {
		return unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	})
	if err != nil {
		return fmt.Errorf("create: %s: %w", path, err)
	}
	if inPlace {
		WriteInPlace(fd)
	}
	err = sys.Retry(func() error { return unix.Ftruncate(fd, size) })
	if closeErr := unix.Close(fd); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("truncate: %s: %d bytes: %w", path, size, err)
	}
	return nil
}
