// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// A takeover is from another server that may not know of it yet.
type takeover struct {
	generation uint64
	since      time.Duration // of the clock: when that generation was written
}

// tookOver notes that r, which was last read as before, is written.
func (d *dir) tookOver(r, before *record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	since := d.opts.clock()
	if last, ok := d.takeovers[r.Key]; ok && last.generation == before.Generation && before.Server == d.name {
		since = last.since // by this server, whose client did not wait
	}
	d.takeovers[r.Key] = takeover{r.Generation, since}
}

// settle returns when no other server modifies the disk of h any more, and this one
// sees what the others have written.
func (d *dir) settle(ctx context.Context, p *privdir.Dir, h *held) error {
	if !h.others && !h.Unsettled {
		return nil
	}
	if err := d.outwait(ctx, h); err != nil {
		return err
	}
	// The kernel has pages of when this server had the disk before.
	if err := unix.Fadvise(h.disk.FD(), 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("forget what was cached: %s: %w", p.Join(string(h.key)+".disk"), err)
	}
	if !h.Unsettled {
		return nil
	}
	if err := d.removeTemps(p, h.key); err != nil {
		return err
	}
	if err := d.goOnWithCopy(ctx, p, h); err != nil {
		return err
	}
	h.Unsettled = false
	if err := d.rewrite(p, h); err != nil {
		return err
	}
	d.mu.Lock()
	delete(d.takeovers, h.key)
	d.mu.Unlock()
	return nil
}

// outwait returns when the lease of whoever had h before is over; or if it was given
// back, when no cache can be from before that.
func (d *dir) outwait(ctx context.Context, h *held) error {
	left := cacheWait
	if h.Unsettled {
		d.mu.Lock()
		left = d.takeovers[h.key].since + leaseWait - d.opts.clock()
		d.mu.Unlock()
		if left <= 0 {
			return nil
		}
		d.opts.Debug(fmt.Sprintf("session %s: another server had it, and died or was cut off: waits for %v", h.key.Short(), left.Round(time.Second)))
	}
	over := make(chan struct{})
	stop := d.opts.after(left, func() { close(over) })
	defer stop()
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the other server: %w", sys.ContextError(ctx))
	}
}

// removeTemps removes what other servers were about to rename to the disk or the
// record of key: their kernels could do it still. That such a file is locked says
// nothing, because its server does not know yet that it has lost the session.
func (d *dir) removeTemps(p *privdir.Dir, key Key) error {
	names, err := p.Names()
	if err != nil {
		return fmt.Errorf("list: %s: %w", p.Path(), err)
	}
	for _, name := range names {
		if of, kind, ok := splitName(name); ok && of == key && kind != "disk" && kind != "json" {
			if err := p.Remove(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// goOnWithCopy puts a copy in place of the disk of h: a clone where there can be one.
// Without room for it, the client goes on with the file that the last server had.
func (d *dir) goOnWithCopy(ctx context.Context, p *privdir.Dir, h *held) (err error) {
	name := string(h.key) + ".tmp." + sys.RandomName()
	f, err := d.temp(p, name)
	if err != nil {
		return err
	}
	defer f.Close()
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Remove(name))
		}
	}()
	how, err := sparse.Clone(ctx, int(f.Fd()), h.disk.FD(), sparse.Options{})
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		d.opts.LogError(fmt.Sprintf("session %s: goes on with the file of a server that died or was cut off, "+
			"because there is no room for a copy: what that one has not written yet may come: %v", h.key.Short(), err))
		return p.Remove(name)
	case err != nil:
		return err
	}
	d.opts.Debug(fmt.Sprintf("session %s: disk copied %s", h.key.Short(), how))
	if d.opts.Sync {
		if err := sys.Retry(func() error { return unix.Fsync(int(f.Fd())) }); err != nil {
			return fmt.Errorf("sync: %s: %w", f.Name(), err)
		}
	}
	copied, err := fromFile(f, d.opts.Debug)
	if err != nil {
		return err
	}
	if err = d.newest(h); err == nil {
		err = unix.Renameat(p.FD(), name, p.FD(), string(h.key)+".disk")
	}
	if err == nil && d.opts.Sync {
		err = syncDir(p)
	}
	if err != nil {
		copied.Close()
		return fmt.Errorf("rename: %s: %w", p.Join(name), err)
	}
	h.disk.Close()
	h.disk = copied
	return nil
}
