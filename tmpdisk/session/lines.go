// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"container/list"
	"time"
)

// lines have the disks that wait, in one line for each grace: what has waited the
// longest is at the head of one, and so is what expires next, however many wait.
type lines struct {
	of   map[time.Duration]*list.List // of waiter, by grace; none is empty
	at   map[Key]*list.Element
	last uint64
}

// A waiter is a disk that waits since, for grace.
type waiter struct {
	entry
	grace  time.Duration
	number uint64 // of its arrival: many may share a time
}

func (w waiter) until() time.Time { return w.since.Add(w.grace) }

// An order reports whether a comes before b. It must be that of arrival where
// both have the same grace.
type order func(a, b waiter) bool

func came(a, b waiter) bool    { return a.number < b.number }
func expires(a, b waiter) bool { return a.until().Before(b.until()) }

func newLines() *lines {
	return &lines{of: map[time.Duration]*list.List{}, at: map[Key]*list.Element{}}
}

// push puts key last in the line of grace. since must not be earlier than that of
// any push before.
func (l *lines) push(key Key, since time.Time, grace time.Duration) {
	l.remove(key)
	line := l.of[grace]
	if line == nil {
		line = list.New()
		l.of[grace] = line
	}
	l.last++
	l.at[key] = line.PushBack(waiter{entry{key, since}, grace, l.last})
}

func (l *lines) remove(key Key) {
	e, ok := l.at[key]
	if !ok {
		return
	}
	grace := e.Value.(waiter).grace
	line := l.of[grace]
	line.Remove(e)
	delete(l.at, key)
	if line.Len() == 0 {
		delete(l.of, grace)
	}
}

// first is the first in an order of those that are idle.
func (l *lines) first(before order, idle func(Key) bool) (first waiter, ok bool) {
	for _, line := range l.of {
		for e := line.Front(); e != nil; e = e.Next() {
			head := e.Value.(waiter)
			if !idle(head.key) {
				continue
			}
			if !ok || before(head, first) {
				first, ok = head, true
			}
			break
		}
	}
	return first, ok
}

func (l *lines) len() int { return len(l.at) }
