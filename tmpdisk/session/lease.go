// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// On a filesystem that several machines share, a server may lose its lock and not
// know: the filesystem takes it from one that cannot be reached, and that one
// goes on running. So it may modify a disk only for leaseTime after it began to
// look whether the session is still its own; and whoever takes a session that was
// not given back waits for leaseWait before anybody is served.
//
// A network filesystem may for a second not see what another machine has changed.
// Whoever gets a disk that another server had waits for that as well.
//
// What the old server had asked its kernel for by then may still come, however
// late. Where the filesystem can clone, the new server therefore goes on with a
// clone: the old one's file is nobody's any more.
const (
	leaseTime = 10 * time.Second
	cacheWait = 2 * time.Second // GlusterFS and FUSE keep what they know for one second
	leaseWait = leaseTime + cacheWait
)

// A lease is a server's on a disk. nil always holds.
type lease struct {
	clock func() time.Duration
	until atomic.Int64 // of clock
	mu    sync.Mutex   // held by whoever renews it
	over  bool         // the disk is not held any more. With mu
	stop  func()       // the timer's, see watch.go. With mu
}

// holds reports whether the disk may be modified now.
func (l *lease) holds() bool { return l == nil || l.clock() < time.Duration(l.until.Load()) }

// now is when a look begins that extend is called for if it finds nobody else.
func (l *lease) now() time.Duration {
	if l == nil {
		return 0
	}
	return l.clock()
}

func (l *lease) extend(began time.Duration) {
	if l != nil {
		l.until.Store(int64(began + leaseTime))
	}
}

// renew looks whether the session is still this server's.
func (s *session) renew() error {
	l := s.held.lease
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.holds() { // another request has been here
		return nil
	}
	err := s.keeper.newest(s.held)
	if errors.Is(err, errOvertaken) {
		s.fail(err)
	}
	return err
}

// newLease returns nil where no other machine can have the disk.
func (d *dir) newLease() *lease {
	if !d.shared {
		return nil
	}
	return &lease{clock: d.opts.clock}
}

// relock takes the lock of h's disk once more, which shows whether another server
// has got it. Servers that only look have it for a moment.
func (d *dir) relock(p *privdir.Dir, h *held) error {
	pause := sys.Backoff{First: time.Millisecond, Last: 50 * time.Millisecond}
	for until := time.Now().Add(patience); ; time.Sleep(pause.Next()) {
		err := sys.Flock(h.disk.FD())
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EBADFD): // GlusterFS with client.strict-locks: it was lost
			return fmt.Errorf("lock: %s: %w: %w", p.Join(string(h.key)+".disk"), err, errOvertaken)
		case !errors.Is(err, unix.EWOULDBLOCK):
			return fmt.Errorf("lock: %s: %w", p.Join(string(h.key)+".disk"), err)
		case time.Now().After(until):
			return fmt.Errorf("session %s: %w", h.key.Short(), errElsewhere)
		}
		if err := d.isNewest(p, h); err != nil {
			return err
		}
	}
}

// inPlace fails if the disk of h has lost its name, and with it all that would be
// written. The kernel may know a name by heart, and asks for one that it opens.
func (d *dir) inPlace(p *privdir.Dir, h *held) error {
	name := string(h.key) + ".disk"
	f, err := p.Open(name, unix.O_RDONLY)
	if err == nil {
		f.Close()
	}
	switch {
	case err != nil && !errors.Is(err, unix.ENOENT):
		return err
	case err != nil, !sys.SameFile(p.FD(), name, h.disk.FD()):
		return fmt.Errorf("%s: removed or replaced: %w", p.Join(name), errOvertaken)
	}
	return nil
}

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
	if err := d.goOnWithClone(p, h); err != nil {
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
// record of key: their kernels may do it still, and can no more. Locks say nothing,
// for whoever has them does not know yet that he has lost the session.
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

// goOnWithClone puts a clone in place of the disk of h, where there can be one.
func (d *dir) goOnWithClone(p *privdir.Dir, h *held) (err error) {
	name := string(h.key) + ".tmp." + sys.RandomName()
	f, err := d.temp(p, name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := sparse.Reflink(int(f.Fd()), h.disk.FD()); err != nil {
		d.opts.Debug(fmt.Sprintf("session %s: no clone: %v (ignored)", h.key.Short(), err))
		return p.Remove(name)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, p.Remove(name))
		}
	}()
	if d.opts.Sync {
		if err := sys.Retry(func() error { return unix.Fsync(int(f.Fd())) }); err != nil {
			return fmt.Errorf("sync: %s: %w", f.Name(), err)
		}
	}
	clone, err := fromFile(f, d.opts.Debug)
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
		clone.Close()
		return fmt.Errorf("rename: %s: %w", p.Join(name), err)
	}
	h.disk.Close()
	h.disk = clone
	return nil
}
