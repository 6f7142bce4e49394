// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"

	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// templateLock is the right to build or remove one template, among all
// processes of this user and all goroutines of this one. Who has it need not
// fear for those who only read: they have the template open.
//
// The file is removed by who holds the lock. So one who gets the lock of a
// file that has no name any more has nothing, and tries again.
type templateLock struct {
	dir  *templateDir
	name string
	f    *os.File
}

// tryLock returns nil if somebody else has the lock of key.
func (d *templateDir) tryLock(key string) (*templateLock, error) {
	name := key + ".lock"
	for range 100 {
		f, err := d.open(name, unix.O_RDWR|unix.O_CREAT)
		if err != nil {
			return nil, err
		}
		err = sys.Flock(int(f.Fd()))
		if err == nil && sys.SameFile(d.fd, name, int(f.Fd())) {
			return &templateLock{d, name, f}, nil
		}
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, nil
		}
		if err != nil {
			return nil, fmt.Errorf("parameter template-dir: lock: %s: %w: "+
				"name a directory on a filesystem that has locks", d.join(name), err)
		}
	}
	return nil, nil // others are at it
}

// release gives up the lock. On nil it does nothing.
func (l *templateLock) release() {
	if l == nil {
		return
	}
	// If this fails the next sweep removes the file: nobody depends on it.
	unix.Unlinkat(l.dir.fd, l.name, 0)
	l.f.Close()
}

// Waiting for another process's lock is asking again: flock has no means to be
// told to stop, and who waits may be told so at any time.
const (
	shortestPause = time.Millisecond
	longestPause  = 50 * time.Millisecond
)

// pauses grow, from shortestPause to longestPause.
type pauses struct{ next time.Duration }

func (p *pauses) wait(ctx context.Context) error {
	p.next = min(max(2*p.next, shortestPause), longestPause)
	timer := time.NewTimer(p.next)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for another to build the template: %s: %w", whyCancelled(ctx.Err()), ctx.Err())
	}
}
