// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package order

import (
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/writeback"
)

// A Waiter is a disk that waits for its client, and that nobody has in hand.
type Waiter struct {
	Key   keep.Key
	Since time.Time     // its client left: whoever left first makes room first
	Grace time.Duration // of its export
	Until time.Time     // its grace is over

	Version keep.Version // of its record, if nobody has had it since
	Failed  bool         // to drop it has failed, which is in the log
	// Elsewhere says that another server has it, which may die. It does not make room.
	Elsewhere bool
	// New says that all that is known of it is a client at another server, who may only
	// look: if nothing is left of it, nothing is lost.
	New  bool
	Seen *writeback.Seen // of the disk; nil if nobody has looked
}

// Waiters are disks that wait, in the order in which they make room, and in that in
// which their grace is over.
type Waiters struct {
	All          map[keep.Key]Waiter
	ByAge, ByEnd *Queue
}

// NewWaiters returns an empty list.
func NewWaiters() *Waiters {
	return &Waiters{All: map[keep.Key]Waiter{}, ByAge: New(), ByEnd: New()}
}

// Push puts w in, in place of what there was of its key.
func (l *Waiters) Push(w Waiter) {
	l.All[w.Key] = w
	if !w.Elsewhere {
		l.ByAge.Push(w.Key, w.Since)
	}
	l.ByEnd.Push(w.Key, w.Until)
}

// Take removes and returns the waiter of key; ok is false if there is none.
func (l *Waiters) Take(key keep.Key) (w Waiter, ok bool) {
	w, ok = l.All[key]
	delete(l.All, key)
	l.ByAge.Remove(key)
	l.ByEnd.Remove(key)
	return w, ok
}
