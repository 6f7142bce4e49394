// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package template

import (
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// A miss is what is known of the last build that left no template: because the
// command failed, or its disk makes none, or the template could not be kept. The zero
// value is that there is none, or that a template could be kept since.
//
// The next build of that key will most likely leave none either, so nobody waits for
// one. Whoever does not build it makes a disk alone, all at a time, and gets their own
// error.
type miss struct {
	key   string
	until time.Time // nobody builds for it before
}

// What until is where nobody need wait, and where there is no point in another build.
const (
	atOnce = time.Duration(0)
	never  = time.Duration(math.MaxInt64)
)

// missed notes that a build of key left no template. The next one may begin after
// that pause.
func (t *Templates) missed(key string, pause time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.miss = miss{key, time.Now().Add(pause)}
}

// lacksRoom reports whether err says that nothing can be written to
// template-dir, which is no reason to turn a client away.
func lacksRoom(err error) bool {
	return sys.NoRoom(err) || errors.Is(err, unix.EROFS)
}

// notKept notes that no template of key could be kept. Keeping one is tried again
// after pauses that grow, because it takes the client's time and is in vain most of
// the time.
func (t *Templates) notKept(key string, err error) {
	t.mu.Lock()
	t.miss = miss{key, time.Now().Add(t.pause.Next())}
	first := t.full.Begins("full")
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
	t.miss, t.pause = miss{}, newPause()
	again := t.full.Ends()
	t.mu.Unlock()
	if again {
		t.opts.Debug("templates can be kept again")
	}
}
