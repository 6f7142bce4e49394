// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sparse

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Unnamed opens a new empty file, of mode 0600, that is on dir's filesystem and
// has no name there. With inPlace it is written in place on btrfs, see
// WriteInPlace. The caller closes it, which removes it. The error wraps
// [errors.ErrUnsupported] where the filesystem has no such files (NFS, and FUSE
// before Linux 6.1).
func Unnamed(dir string, inPlace bool) (int, error) {
	fd, err := sys.Retry2(func() (int, error) {
		return unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	})
	switch {
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EISDIR), errors.Is(err, unix.ENOSYS):
		return -1, fmt.Errorf("open unnamed file: %s: %w: %w", dir, err, errors.ErrUnsupported)
	case err != nil:
		return -1, fmt.Errorf("open unnamed file: %s: %w", dir, err)
	}
	if inPlace {
		WriteInPlace(fd)
	}
	return fd, nil
}
