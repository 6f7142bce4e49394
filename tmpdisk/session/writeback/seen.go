// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package writeback

import (
	"errors"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/overlay"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// Seen is when a file was last written to, as it was at the last look. The zero value
// says that nobody has looked.
type Seen struct {
	written unix.Timespec
	again   bool // it was written to shortly before: perhaps after, at the same time of its filesystem's clock
}

// due reports whether fd, which has not been removed, may have been written to since the
// last look that did not find it so.
func (s *Seen) due(fd int) bool {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Nlink == 0 {
		return false
	}
	changed := st.Mtim != s.written
	due := changed || s.again
	s.written, s.again = st.Mtim, changed
	return due
}

// Missing reports whether an error of a sync says that what was written may be missing,
// and not only that the filesystem cannot sync, or cannot be reached.
func Missing(err error) bool {
	return err != nil && !errors.Is(err, overlay.ErrMap) && !keep.CutOff(err) && !errors.Is(err, unix.ENOMEM) &&
		!errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EOPNOTSUPP)
}

// Lost reports whether the error of a request says that the filesystem may have lost what
// it had taken.
func Lost(err error) bool {
	return (errors.Is(err, unix.EIO) || errors.Is(err, unix.ESTALE)) && !errors.Is(err, overlay.ErrBase)
}
