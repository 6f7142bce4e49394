// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"fmt"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/minfree"
)

// ensureSpace is why there is too little space for one more client's disk, which may
// come to be a session's, or nil. Disks that wait for their clients are dropped for it.
func (x *liveExport) ensureSpace(ctx context.Context, forSession bool) error {
	s, dirs := x.server, []string{x.server.tmpdir}
	if forSession && s.sessionDir != s.tmpdir {
		dirs = append(dirs, s.sessionDir)
	}
	if s.sessions == nil {
		return aboutMinFree(s.spaces.Check(ctx, x.cfg.MinFree, dirs...))
	}
	return aboutMinFree(s.spaces.Ensure(ctx, x.cfg.MinFree, dirs, s.sessionDir, s.sessions.DropOldest))
}

// checkSpaceForSpare is why no spare disk of so many bytes may be made now, or nil: a
// full filesystem is not tried again and again. One that hangs must not keep the turn
// of those who make disks.
func (x *liveExport) checkSpaceForSpare(bytes uint64) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s := x.server
	if err := aboutMinFree(s.spaces.Check(ctx, x.cfg.MinFree, s.tmpdir)); err != nil {
		return err
	}
	return s.spaces.Check(ctx, minfree.Limit{Bytes: bytes}, s.tmpdir)
}

func aboutMinFree(err error) error {
	if err != nil {
		err = fmt.Errorf("parameter min-free: %w", err)
	}
	return err
}
