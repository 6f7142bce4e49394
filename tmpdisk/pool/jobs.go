// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package pool

import (
	"slices"
	"sync"
)

// Jobs are the slots that the makers of all its pools share. Whoever finds none
// free gets in line. Its lock may be taken with a pool's, never the reverse.
type Jobs struct {
	slots int

	mu   sync.Mutex
	free int     // 0 while anybody is in line
	line []*seat // in order of arrival; those for clients go first
}

// want is what a pool would use a slot for.
type want int

const (
	nothing want = iota
	forSpare
	forClient
)

// seat is what Jobs knows of a pool. All but wake is under the mu of Jobs.
type seat struct {
	wake    func() // the pool's, after a grant; called without any lock
	want    want   // nothing unless it is in line
	granted bool   // holds a slot that the pool has not taken yet
}

// NewJobs returns n slots, one at the least.
func NewJobs(n int) *Jobs {
	return &Jobs{slots: n, free: n}
}

// take takes a slot for what s wants now. If there is none, s gets in line, or
// keeps its place there. A grant that s cannot use goes to the next in line. The
// caller must call wake without its lock.
func (j *Jobs) take(s *seat, w want) (ok bool, wake func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s.granted {
		s.granted = false
		j.free++
	}
	if j.free > 0 && (w == forClient || w == forSpare && j.firstClient() < 0) {
		ok, w = true, nothing
		j.free--
	}
	j.lineUp(s, w)
	return ok, j.grant()
}

// giveBack gives back a slot. The caller must call wake without its lock.
func (j *Jobs) giveBack() (wake func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.free++
	return j.grant()
}

// grant gives a free slot to the next in line, whom wake tells. With mu.
func (j *Jobs) grant() (wake func()) {
	if j.free == 0 || len(j.line) == 0 {
		return func() {}
	}
	s := j.line[max(0, j.firstClient())]
	j.lineUp(s, nothing)
	j.free--
	s.granted = true
	return s.wake
}

// firstClient is the first place in line for a client's disk, or -1. With mu.
func (j *Jobs) firstClient() int {
	return slices.IndexFunc(j.line, func(s *seat) bool { return s.want == forClient })
}

// lineUp puts s at the end of the line, unless it is in line for that already;
// for nothing, it takes s out. With mu.
func (j *Jobs) lineUp(s *seat, w want) {
	if s.want == w {
		return
	}
	j.line = slices.DeleteFunc(j.line, func(other *seat) bool { return other == s })
	if w != nothing {
		j.line = append(j.line, s)
	}
	s.want = w
}
