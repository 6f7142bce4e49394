// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package logs

import (
	"fmt"
	"sync"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

const (
	perMinute = 10
	maxKinds  = 64
)

// Limiter passes lines on to a log, but not too many of one kind.
type Limiter struct {
	log   func(string)
	clock sys.Clock

	mu      sync.Mutex
	kinds   map[string]*kind
	stopped bool
}

// kind is what there was of one kind in the minute that began last.
type kind struct {
	begun  time.Time
	logged int
	more   int
	last   string // of more
	stop   func() // nil if no timer runs
}

// New returns a Limiter that passes lines on to log.
func New(log func(string)) *Limiter {
	return &Limiter{log: log, clock: sys.ClockOr(nil), kinds: map[string]*kind{}}
}

// Log logs line, or counts it if there were ten of its kind in this minute.
func (l *Limiter) Log(of, line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kind(of)
	l.endMinute(k)
	if k.logged < perMinute {
		k.logged++
		l.log(line)
		return
	}
	k.more++
	k.last = line
	if k.stop == nil && !l.stopped {
		k.stop = l.clock.AfterFunc(k.begun.Add(time.Minute).Sub(l.clock.Now()), func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.endMinute(k)
		})
	}
}

// Stop logs how many lines have been counted, and stops all timers. Lines may
// still be logged; their counts then wait for the next line, or Stop.
func (l *Limiter) Stop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stopped = true
	for _, k := range l.kinds {
		l.sum(k)
	}
}

// kind returns what is known of a kind. With l.mu.
func (l *Limiter) kind(name string) *kind {
	if l.kinds[name] == nil && len(l.kinds) >= maxKinds {
		name = "" // the rest
	}
	if l.kinds[name] == nil {
		l.kinds[name] = &kind{begun: l.clock.Now()}
	}
	return l.kinds[name]
}

// endMinute ends k's minute if it is over. With l.mu.
func (l *Limiter) endMinute(k *kind) {
	if now := l.clock.Now(); now.Sub(k.begun) >= time.Minute {
		k.logged, k.begun = 0, now
		l.sum(k)
	}
}

// sum says how many lines of k have been counted. With l.mu.
func (l *Limiter) sum(k *kind) {
	if k.stop != nil {
		k.stop()
		k.stop = nil
	}
	if k.more == 0 {
		return
	}
	l.log(fmt.Sprintf("... and %d more of this kind in the last minute: %s", k.more, k.last))
	k.more, k.last = 0, ""
	k.logged++
}

// A Fault is something that is wrong for a while, and is logged once: when it
// begins. It may begin again when it has ended. The zero value is no fault. It has no
// lock of its own.
type Fault struct{ what string }

// Begins notes that something is wrong, and reports whether to log it: unless what,
// which must not be "", is what was wrong before.
func (f *Fault) Begins(what string) bool {
	before := f.what
	f.what = what
	return what != before
}

// Lasts reports whether anything is wrong.
func (f *Fault) Lasts() bool { return f.what != "" }

// Ends notes that nothing is wrong, and reports whether anything was.
func (f *Fault) Ends() bool {
	lasted := f.Lasts()
	f.what = ""
	return lasted
}
