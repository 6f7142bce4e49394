// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/command"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp"
)

// passing are errors that another time, or another administrator, may mend, and what
// programs say that do not tell which one it was.
var passing = append(texts(unix.ENOSPC, unix.EDQUOT, unix.EMFILE, unix.ENFILE, unix.EAGAIN, unix.ENOMEM, unix.EIO,
	unix.EACCES, unix.EPERM, unix.EROFS, unix.EBUSY, unix.EINTR, unix.ESTALE, unix.ETIMEDOUT, unix.ETXTBSY,
	unix.ENOTCONN, unix.ECONNABORTED), // the last two where FUSE's server has ended
	"error while loading shared libraries", // it does not name all errors: no descriptor is "Error 23"
	"short write", "cannot fork", "out of memory", "memory allocation")

func texts(errnos ...unix.Errno) (list []string) {
	for _, e := range errnos {
		list = append(list, e.Error())
	}
	return list
}

// little is free space, in bytes, with which a program may fail for want of it and not
// say so.
const little = 256 << 20

// Never returns nil unless err, of making a disk, would come again however often it is
// tried: it is then for an administrator. In doubt it may pass.
func (m *Maker) Never(err error) error {
	var part *stamp.PartError
	var exit command.ExitError
	switch {
	case errors.As(err, &part):
		return fmt.Errorf("parameter size: %w", part)
	case errors.Is(err, unix.EFBIG):
		return err
	case !errors.As(err, &exit) || strings.HasSuffix(err.Error(), exit.Error()): // or it has said nothing
		return nil
	}
	text := strings.ToLower(err.Error())
	if slices.ContainsFunc(passing, func(p string) bool { return strings.Contains(text, p) }) || m.short() {
		return nil
	}
	c := m.opts.Config
	return fmt.Errorf("parameter type: no %s of %d bytes can be made: %s: %s", c.Type, c.Size, mkfs.Program(c.Type), words(err))
}

// short reports whether there is so little space that mkfs may fail for that.
func (m *Maker) short() bool {
	var st unix.Statfs_t
	err := unix.Statfs(m.opts.Dir, &st)
	return err != nil || st.Blocks > 0 && uint64(st.Bavail)*uint64(st.Bsize) < little
}

// words is what a program has said, in one line, but for how it is to be called.
func words(err error) string {
	var lines []string
	for _, line := range strings.Split(strings.TrimPrefix(err.Error(), "command: "), "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(strings.ToLower(line), "usage:") {
			break
		}
		if line != "" {
			lines = append(lines, line)
		}
	}
	return strings.ReplaceAll(strings.Join(lines, "; "), ":; ", ": ")
}

func (m *Maker) tooLarge() error {
	return fmt.Errorf("parameter size: %d bytes: more than a file under %s can have: %w", m.opts.Config.Size, m.opts.Dir, unix.EFBIG)
}
