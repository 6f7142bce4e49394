// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package files

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/basis"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/files/adopt"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/files/names"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// A takeover is from another server that may not know of it yet.
type takeover struct {
	generation uint64
	since      time.Duration // the machine's boot: when that generation was written
}

// tookOver notes that r, which was last read as before, is written.
func (d *Dir) tookOver(r, before *record.Record) {
	since := d.opts.Clock.SinceBoot()
	if last, ok := d.takeovers.Load(r.Key); ok && last.(takeover).generation == before.Generation && before.Server == d.server.Name {
		since = last.(takeover).since // by this server, whose client did not wait
	}
	d.takeovers.Store(r.Key, takeover{r.Generation, since})
}

// settle returns when no other server modifies the disk any more, and this one sees what
// the others have written.
func (c *Claim) settle(ctx context.Context) error {
	if c.Lease == nil || !c.others && !c.record.Unsettled {
		return nil
	}
	if err := c.outwait(ctx); err != nil {
		return err
	}
	// The kernel has pages of when this server had the disk before.
	if err := unix.Fadvise(c.fd(), 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("forget what was cached: %s: %w", c.diskPath(), err)
	}
	if !c.record.Unsettled {
		return nil
	}
	if err := names.RemoveTemps(c.at, c.Key); err != nil {
		return err
	}
	copied, err := c.goOnWithCopy(ctx)
	if err != nil {
		return err
	}
	r := c.record
	r.Unsettled = false
	c.dir.server.Stamp(&r)
	if copied {
		// A late change of the record, too, is to go to a file that has no name.
		err = record.Replace(c.at, &r, c.Verify)
	}
	if !copied || sys.NoRoom(err) {
		err = record.Update(c.at, &r, c.isOurs)
	}
	if err != nil {
		return err
	}
	c.record = r
	c.dir.takeovers.Delete(c.Key)
	return nil
}

// outwait returns when the lease of whoever had the disk before is over; or if it was
// given back, when no cache can be from before that.
func (c *Claim) outwait(ctx context.Context) error {
	d, left := c.dir, keep.CacheWait
	if c.record.Unsettled {
		last, _ := d.takeovers.Load(c.Key) // take has stored it
		left = last.(takeover).since + keep.LeaseWait - d.opts.Clock.SinceBoot()
		if left <= 0 {
			return nil
		}
		d.opts.Debug(fmt.Sprintf("session %s: another server had it, and died or was cut off: waits for %v", c.Key.Short(), left.Round(time.Second)))
	}
	over := make(chan struct{})
	stop := d.opts.Clock.AfterFunc(left, func() { close(over) })
	defer stop()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the other server: %w", sys.ContextError(ctx))
	}
}

// goOnWithCopy puts a copy in place of the disk, maps first; copied is false where there is
// no room for it, and the client goes on with the last server's file.
func (c *Claim) goOnWithCopy(ctx context.Context) (copied bool, err error) {
	d, p := c.dir, c.at
	f, err := adopt.Copy(ctx, p, c.Key, c.fd(), basis.Maps(&c.record), d.opts.Debug)
	if sys.NoRoom(err) && c.base == nil { // else its map could lose what is written to it
		d.opts.LogError(fmt.Sprintf("session %s: goes on with the file of a server that died or was cut off, "+
			"because there is no room for a copy: what that server has not written yet may come: %v", c.Key.Short(), err))
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if err = c.Verify(); err != nil {
		p.Discard(f)
		return false, err
	}
	if err = p.Publish(f, names.Disk(c.Key), d.opts.Sync); err != nil {
		return false, err
	}
	own, err := disk.FromFile(f, d.opts.Debug)
	if err != nil {
		return false, err
	}
	c.Disk.Close()
	c.Disk = own
	return true, nil
}
