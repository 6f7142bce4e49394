// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package order

import (
	"container/heap"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// A Queue has keys in the order of their times, and of their arrival where these are
// the same.
type Queue struct {
	entries entries
	at      map[keep.Key]*queued
	last    uint64
}

type queued struct {
	key    keep.Key
	time   time.Time
	number uint64 // of its arrival
	index  int    // in entries
}

func New() *Queue { return &Queue{at: map[keep.Key]*queued{}} }

// Push puts key in at t, wherever it was before.
func (q *Queue) Push(key keep.Key, t time.Time) {
	q.Remove(key)
	q.last++
	e := &queued{key: key, time: t, number: q.last}
	q.at[key] = e
	heap.Push(&q.entries, e)
}

func (q *Queue) Remove(key keep.Key) {
	if e, ok := q.at[key]; ok {
		heap.Remove(&q.entries, e.index)
		delete(q.at, key)
	}
}

// First returns the key with the earliest time; ok is false if there is none.
func (q *Queue) First() (key keep.Key, t time.Time, ok bool) {
	if len(q.entries) == 0 {
		return "", time.Time{}, false
	}
	return q.entries[0].key, q.entries[0].time, true
}

func (q *Queue) Has(key keep.Key) bool { return q.at[key] != nil }
func (q *Queue) Len() int              { return len(q.entries) }

// entries implement heap.Interface.
type entries []*queued

func (o entries) Len() int { return len(o) }

func (o entries) Less(i, j int) bool {
	if o[i].time.Equal(o[j].time) {
		return o[i].number < o[j].number
	}
	return o[i].time.Before(o[j].time)
}

func (o entries) Swap(i, j int) {
	o[i], o[j] = o[j], o[i]
	o[i].index, o[j].index = i, j
}

func (o *entries) Push(e any) {
	e.(*queued).index = len(*o)
	*o = append(*o, e.(*queued))
}

func (o *entries) Pop() any {
	last := len(*o) - 1
	e := (*o)[last]
	*o = (*o)[:last]
	return e
}
