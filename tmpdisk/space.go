// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"cmp"
	"fmt"

	"nbdkit-tmpdisk-plugin/tmpdisk/minfree"
)

// ensureSpace is why there is too little space for one more client's disk, or nil.
// Disks that wait for their clients are dropped for it.
func (src *source) ensureSpace() error {
	s := src.server
	if s.sessions == nil {
		return src.checkSpace()
	}
	return aboutMinFree(src.cfg.MinFree.Ensure(src.dirs(), cmp.Or(src.cfg.Session.Dir, s.tmpdir), s.sessions.DropOldest))
}

// checkSpace is ensureSpace, but drops nothing.
func (src *source) checkSpace() error {
	return aboutMinFree(src.cfg.MinFree.CheckAll(src.dirs()))
}

// checkSpaceForSpare is why no spare disk may be made now, or nil: a full filesystem
// is not tried again and again.
func (src *source) checkSpaceForSpare() error {
	if err := src.checkSpace(); err != nil {
		return err
	}
	return minfree.Limit{Bytes: src.maker.Space()}.Check(src.server.tmpdir)
}

// dirs are those that its disks are in.
func (src *source) dirs() []string {
	if dir := src.cfg.Session.Dir; dir != "" {
		return []string{src.server.tmpdir, dir}
	}
	return []string{src.server.tmpdir}
}

func aboutMinFree(err error) error {
	if err != nil {
		err = fmt.Errorf("parameter min-free: %w", err)
	}
	return err
}
