// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package export

import (
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// An identity tells versions of a file or directory apart: its status, without what
// reading it, or writing back what is in memory, changes.
type identity unix.Stat_t

func identityOf(st *unix.Stat_t) identity {
	id := identity(*st)
	id.Atim, id.Blocks = unix.Timespec{}, 0
	return id
}

func stat(dirfd int, name string, flags int) (st unix.Stat_t, err error) {
	err = sys.Retry(func() error { return unix.Fstatat(dirfd, name, &st, flags) })
	return st, err
}

// settle is longer than the coarsest clock with which a filesystem marks changes
// (2 s, FAT's): what changed longer ago cannot change again without a new time.
const settle = 3 * time.Second

func (id identity) settledAt(now time.Time) bool {
	// Whatever changes a file changes its ctime, which nobody can set.
	return time.Unix(id.Ctim.Unix()).Before(now.Add(-settle))
}
