// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package names

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/basis"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// A Lock is a directory's.
type Lock chan struct{} // full while somebody here has it, or waits for another server

// NewLock returns one that nobody has.
func NewLock() Lock { return make(Lock, 1) }

// lockFile is that whose lock is the directory's, where the directory itself cannot be
// locked for other machines.
const lockFile = "lock"

// patience is how long anybody waits; less in tests.
var patience = 10 * time.Second

// With runs f while nobody else names or forgets anything in p. shared says that other
// machines may have the same directory.
func (l Lock) With(ctx context.Context, p *privdir.Dir, shared bool, f func() error) error {
	until := time.Now().Add(patience)
	held := fmt.Errorf("lock: %s: another server has the directory's lock, and does not give it back: %w", p.Path(), unix.EBUSY)
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case l <- struct{}{}:
		defer func() { <-l }()
	case <-timer.C:
		return held
	case <-ctx.Done():
		return fmt.Errorf("wait for the directory: %w", sys.ContextError(ctx))
	}
	fd := p.FD()
	if shared {
		// NFS and FUSE keep the lock of a directory on this machine.
		f, err := p.Open(lockFile, unix.O_RDWR|unix.O_CREAT)
		if err != nil {
			return err
		}
		defer f.Close()
		fd = int(f.Fd())
	}
	err := privdir.UntilFree(ctx, time.Until(until), func() error { return sys.Flock(fd) })
	if errors.Is(err, unix.EWOULDBLOCK) {
		return held
	}
	if err != nil {
		return fmt.Errorf("lock: %s: %w", p.Path(), err)
	}
	defer unix.Flock(fd, unix.LOCK_UN)
	return f()
}

// SweepBases removes what sessions stood on that are gone, and what a dead server has left.
func (l Lock) SweepBases(p *privdir.Dir, shared bool, bases []string, debug func(string)) {
	for _, name := range bases {
		key, kind, _ := privdir.SplitName(name)
		err := l.With(context.Background(), p, shared, func() error {
			if there, err := Exists(p, Disk(keep.Key(key))); there || err != nil {
				return err
			}
			return basis.Sweep(p, name, keep.Key(key), kind)
		})
		if err != nil && !errors.Is(err, unix.ENOENT) {
			debug(fmt.Sprintf("session-dir: %s: %v (ignored)", name, err))
		}
	}
}

// briefly is how long Remove waits for the lock.
const briefly = time.Second

// Remove removes the disk of key and its mark, which needs no lock, and the link to what it stands on.
// Another server may begin a session of key as soon as the disk is gone: then the link is
// that one's. Where the lock is not to be had the link stays, and the next sweep finds it.
func (l Lock) Remove(p *privdir.Dir, shared bool, key keep.Key) error {
	if err := p.Remove(Disk(key)); err != nil {
		return err
	}
	Mended(p, key) // else the next list does
	if linked, err := Exists(p, basis.FileName(key)); err == nil && !linked {
		return nil
	}
	ctx, stop := context.WithTimeout(context.Background(), briefly)
	defer stop()
	l.With(ctx, p, shared, func() error {
		if there, err := Exists(p, Disk(key)); there || err != nil {
			return err
		}
		return basis.Remove(p, key)
	})
	return nil
}
