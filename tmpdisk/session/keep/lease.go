// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package keep

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// On a filesystem that several machines share, a server may lose its lock and not
// know: the filesystem takes the lock from a server that it cannot reach, and that
// server goes on running. So it may modify a disk only for LeaseTime after it began
// to look whether the session is still its own. Whoever takes a session that was not
// given back waits for LeaseWait before it serves anybody.
//
// For a second, a network filesystem may not see what another machine has changed.
// Whoever gets a disk that another server had waits for CacheWait because of that.
//
// What the old server had asked its kernel for by then may still be written, however
// late: GlusterFS sends it once more when the old server closes the file. So the new
// server goes on with a copy, and what comes late goes to a file that has no name.
const (
	LeaseTime = 10 * time.Second
	CacheWait = 2 * time.Second // GlusterFS and FUSE keep what they know for one second
	LeaseWait = LeaseTime + CacheWait
)

// A Lease is a server's on a disk. A nil Lease always holds: no other machine can
// have the disk.
type Lease struct {
	clock sys.Clock
	until atomic.Int64 // of SinceBoot
	mu    sync.Mutex   // held by whoever looks
	over  bool         // the disk is not held any more. With mu
	stop  func()       // the timer's. With mu
}

// NewLease returns one that does not hold yet.
func NewLease(clock sys.Clock) *Lease { return &Lease{clock: clock, stop: func() {}} }

// Holds reports whether the disk may be modified now.
func (l *Lease) Holds() bool {
	return l == nil || l.clock.SinceBoot() < time.Duration(l.until.Load())
}

// Began is the time at which a look begins, for Extend.
func (l *Lease) Began() time.Duration {
	if l == nil {
		return 0
	}
	return l.clock.SinceBoot()
}

// Extend makes the lease hold for LeaseTime after a look began that found nobody else.
func (l *Lease) Extend(began time.Duration) {
	if l != nil {
		l.until.Store(int64(began + LeaseTime))
	}
}

// Renew looks, unless the lease holds.
func (l *Lease) Renew(look func() error) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.Holds() { // another request has been here
		return nil
	}
	return look()
}

// Watch calls look every pause, until that fails with ErrOvertaken or End is called.
// A lock that was lost stays lost while its client modifies nothing, and other
// servers drop a disk without a lock when its grace is over: a look takes the lock
// again before that. turn is held meanwhile: on a filesystem that hangs, each look
// takes a thread.
func (l *Lease) Watch(pause time.Duration, turn sync.Locker, look func() error) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watch(pause, turn, look)
}

// watch sets the timer for the next look. With mu.
func (l *Lease) watch(pause time.Duration, turn sync.Locker, look func() error) {
	l.stop = l.clock.AfterFunc(pause, func() {
		turn.Lock()
		defer turn.Unlock()
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.over && !errors.Is(look(), ErrOvertaken) {
			l.watch(pause, turn, look)
		}
	})
}

// End returns when nobody looks any more, and nobody will.
func (l *Lease) End() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over = true
	l.stop()
}

// CutOff reports whether an error says that this server cannot reach a filesystem that
// other machines have as well: what was flushed is there for them.
func CutOff(err error) bool {
	return errors.Is(err, unix.ENOTCONN) || errors.Is(err, unix.EBADFD) ||
		errors.Is(err, unix.ETIMEDOUT) || errors.Is(err, unix.EHOSTUNREACH)
}

// Known makes an error that clients know of one that nbdkit would call EINVAL.
func Known(err error) error {
	if CutOff(err) {
		return fmt.Errorf("%v: %w", err, unix.EIO)
	}
	return err
}
