// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
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
// late: GlusterFS sends it once more when the old server closes the file. So the new
// one goes on with a copy, and the old one's file is nobody's any more.
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
	if errors.Is(err, errOvertaken) || unreachable(err) {
		s.fail(err)
	}
	return known(err)
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
