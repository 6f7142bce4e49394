// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"fmt"

	"nbdkit-tmpdisk-plugin/tmpdisk/minfree"
)

// ensureSpace is why there is too little space for one more client's disk, or nil.
// Disks that wait for their clients are dropped for it.
func (x *liveExport) ensureSpace() error {
	s := x.server
	if s.sessions == nil {
		return x.checkSpace()
	}
	return aboutMinFree(x.cfg.MinFree.Ensure(x.dirs(), s.sessionDir, s.sessions.DropOldest))
}

// checkSpace is ensureSpace, but drops nothing.
func (x *liveExport) checkSpace() error {
	return aboutMinFree(x.cfg.MinFree.Check(x.dirs()...))
}

// checkSpaceForSpare is why no spare disk of so many bytes may be made now, or nil: a
// full filesystem is not tried again and again.
func (x *liveExport) checkSpaceForSpare(bytes uint64) error {
	if err := x.checkSpace(); err != nil {
		return err
	}
	return minfree.Limit{Bytes: bytes}.Check(x.server.tmpdir)
}

// dirs are those that its disks are in.
func (x *liveExport) dirs() []string {
	if dir := x.cfg.Session.Dir; dir != "" {
		return []string{x.server.tmpdir, dir}
	}
	return []string{x.server.tmpdir}
}

func aboutMinFree(err error) error {
	if err != nil {
		err = fmt.Errorf("parameter min-free: %w", err)
	}
	return err
}
