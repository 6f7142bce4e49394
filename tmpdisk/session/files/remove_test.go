// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package files

import (
	"context"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
)

// A session that another server begins, as soon as its disk before is gone, keeps what it
// stands on.
func TestRemoveWhileASessionBegins(t *testing.T) {
	o := options(t)
	a, b := begun(t, o), begun(t, o)
	onMold := func() *Claim { // a base without a name
		t.Helper()
		plain := func(context.Context) (disk.Interface, error) {
			fd, err := sparse.Unnamed(o.Path, true)
			testkit.Must(t, err)
			testkit.Must(t, unix.Ftruncate(fd, kit.Size))
			return disk.FromFD(fd, testkit.Quiet)
		}
		mold, err := plain(ctx)
		testkit.Must(t, err)
		fresh := made(t, func(ctx context.Context) (disk.Interface, error) { return kit.Over(ctx, mold, plain) })
		c, err := b.Create(ctx, kit.A, "export", fresh)
		testkit.Must(t, err)
		return c
	}
	c := onMold()
	testkit.Must(t, c.Release())
	a.naming <- struct{}{} // somebody has a's lock for a moment
	dropped := make(chan error, 1)
	go func() {
		_, err := a.Drop(kit.A, keep.Expired, c.Version(), time.Minute)
		dropped <- err
	}()
	testkit.WaitFor(t, "the removal", func() bool { return !kit.Exists(o.Path, kit.DiskOf(kit.A)) })
	_, err := b.Forget(ctx, kit.A, time.Time{})
	testkit.Must(t, err)
	if !kit.Exists(o.Path, string(kit.A)+".base") {
		t.Error("the link was removed without the lock: it could be another session's")
	}
	testkit.Must(t, onMold().Release())
	<-a.naming
	testkit.Must(t, <-dropped)
	wantDisk(t, begun(t, o), kit.A)
}
