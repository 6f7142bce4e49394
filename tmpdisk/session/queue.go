// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"container/heap"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// A queue has keys in the order of their times, and of their arrival where these are
// the same.
type queue struct {
	order order
	at    map[keep.Key]*queued
	last  uint64
}

type queued struct {
	key    keep.Key
	time   time.Time
	number uint64 // of its arrival
	index  int    // in order
}

func newQueue() *queue { return &queue{at: map[keep.Key]*queued{}} }

// push puts key in at t, wherever it was before.
func (q *queue) push(key keep.Key, t time.Time) {
	q.remove(key)
	q.last++
	e := &queued{key: key, time: t, number: q.last}
	q.at[key] = e
	heap.Push(&q.order, e)
}

func (q *queue) remove(key keep.Key) {
	if e, ok := q.at[key]; ok {
		heap.Remove(&q.order, e.index)
		delete(q.at, key)
	}
}

// first returns the key with the earliest time; ok is false if there is none.
func (q *queue) first() (key keep.Key, t time.Time, ok bool) {
	if len(q.order) == 0 {
		return "", time.Time{}, false
	}
	return q.order[0].key, q.order[0].time, true
}

func (q *queue) has(key keep.Key) bool { return q.at[key] != nil }
func (q *queue) len() int              { return len(q.order) }

// order implements heap.Interface.
type order []*queued

func (o order) Len() int { return len(o) }

func (o order) Less(i, j int) bool {
	if o[i].time.Equal(o[j].time) {
		return o[i].number < o[j].number
	}
	return o[i].time.Before(o[j].time)
}

func (o order) Swap(i, j int) {
	o[i], o[j] = o[j], o[i]
	o[i].index, o[j].index = i, j
}

func (o *order) Push(e any) {
	e.(*queued).index = len(*o)
	*o = append(*o, e.(*queued))
}

func (o *order) Pop() any {
	last := len(*o) - 1
	e := (*o)[last]
	*o = (*o)[:last]
	return e
}
