// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"container/list"
	"time"
)

// A line has keys in the order of their times, the oldest first.
type line struct {
	order list.List // of entry
	at    map[Key]*list.Element
}

type entry struct {
	key   Key
	since time.Time
}

func newLine() *line { return &line{at: map[Key]*list.Element{}} }

func (l *line) push(key Key, since time.Time) {
	l.remove(key)
	l.at[key] = l.order.PushBack(entry{key, since})
}

func (l *line) remove(key Key) bool {
	e, ok := l.at[key]
	if ok {
		l.order.Remove(e)
		delete(l.at, key)
	}
	return ok
}

func (l *line) oldest() (entry, bool) {
	if e := l.order.Front(); e != nil {
		return e.Value.(entry), true
	}
	return entry{}, false
}

func (l *line) len() int { return len(l.at) }
