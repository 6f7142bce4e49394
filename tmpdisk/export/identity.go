// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package export

import (
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// An identity is what tells versions of a file or directory apart.
type identity struct {
	dev, ino     uint64
	size         int64
	mtime, ctime unix.Timespec
	mode         uint32
	uid, gid     uint32
}

func identityOf(st *unix.Stat_t) identity {
	return identity{
		dev: uint64(st.Dev), ino: st.Ino, size: st.Size, mtime: st.Mtim, ctime: st.Ctim,
		mode: st.Mode, uid: st.Uid, gid: st.Gid,
	}
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
	return time.Unix(id.ctime.Unix()).Before(now.Add(-settle))
}
