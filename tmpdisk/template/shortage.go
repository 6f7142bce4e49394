// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package template

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// shortage is what is known of a template-dir in which nothing can be kept. The
// zero value means that templates can be kept. Keeping one is tried again after
// pauses that grow, because it takes the client's time and is in vain most of
// the time.
type shortage struct {
	said  bool // it is logged once
	pause sys.Backoff
	until time.Time // the end of the pause
}

// lacksRoom reports whether err says that nothing can be written to
// template-dir, which is no reason to turn a client away.
func lacksRoom(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EROFS)
}

// notKept notes that no template of key could be kept.
func (t *Templates) notKept(key string, err error) {
	t.mu.Lock()
	s := &t.short
	first := !s.said
	s.said = true
	s.pause.First, s.pause.Last = time.Second, time.Minute
	s.until = time.Now().Add(s.pause.Next())
	t.failing = key
	t.mu.Unlock()
	line := fmt.Sprintf("%v: disks are made without a template until one can be kept", err)
	if first {
		t.opts.Error(line)
	} else {
		t.debugf(key, "%s (ignored)", line)
	}
}

// wasKept notes that a template could be kept.
func (t *Templates) wasKept() {
	t.mu.Lock()
	again := t.short.said
	t.short, t.failing = shortage{}, ""
	t.mu.Unlock()
	if again {
		t.opts.Debug("templates can be kept again")
	}
}

// pauses reports whether nobody is to try to keep a template now.
func (s *shortage) pauses() bool { return time.Now().Before(s.until) }
