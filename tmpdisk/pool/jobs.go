// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package pool

import (
	"slices"
	"sync"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// stall is how long the makers of some pools may keep all slots from the client of
// one that has none.
const stall = 10 * time.Second

// Jobs are the slots that the makers of all its pools share. Whoever finds none
// free gets in line. Its lock may be taken with a pool's, never the reverse.
type Jobs struct {
	slots int
	clock sys.Clock

	mu    sync.Mutex
	free  int       // not positive while anybody is in line; negative with slots too many
	moved time.Time // when a slot was last taken or given back, but for those too many
	line  []*seat   // in order of arrival; those for clients go first
	stop  func()    // the timer's, which ends a stall; nil if none is set
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
	held    int    // slots, that one included
}

// starves is whether a client waits and the pool makes nothing.
func (s *seat) starves() bool { return s.want == forClient && s.held == 0 }

// NewJobs returns n slots, one at the least.
func NewJobs(n int) *Jobs {
	return &Jobs{slots: n, clock: sys.ClockOr(nil), free: n}
}

// Slots is how many there are.
func (j *Jobs) Slots() int { return j.slots }

// take takes a slot for what s wants now. If there is none, s gets in line, or
// keeps its place there. A grant that s cannot use goes to the next in line. The
// caller must call wake without its lock.
func (j *Jobs) take(s *seat, w want) (ok bool, wake func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.watch()
	if s.granted {
		s.granted = false
		j.back(s)
	}
	switch {
	case j.free > 0 && (w == forClient || w == forSpare && j.firstClient() < 0):
		j.moved = j.clock.Now()
	case w == forClient && s.held == 0 && j.stalled():
	default:
		j.lineUp(s, w)
		return false, j.grant()
	}
	j.free--
	s.held++
	j.lineUp(s, nothing)
	return true, j.grant()
}

// giveBack gives back a slot of s's. The caller must call wake without its lock.
func (j *Jobs) giveBack(s *seat) (wake func()) {
	j.mu.Lock()
	defer j.mu.Unlock()
	defer j.watch()
	j.back(s)
	return j.grant()
}

// back takes a slot from s. With mu.
func (j *Jobs) back(s *seat) {
	s.held--
	if j.free++; j.free > 0 {
		j.moved = j.clock.Now()
	}
}

// grant gives a free slot to the next in line, whom wake tells. With mu.
func (j *Jobs) grant() (wake func()) {
	if j.free <= 0 || len(j.line) == 0 {
		return func() {}
	}
	j.moved = j.clock.Now()
	return j.give(j.line[max(0, j.firstClient())])
}

// give gives a slot to s, whom wake tells. With mu.
func (j *Jobs) give(s *seat) (wake func()) {
	j.lineUp(s, nothing)
	j.free--
	s.held++
	s.granted = true
	return s.wake
}

// stalled is whether the slots have not moved for long. With mu.
func (j *Jobs) stalled() bool { return j.clock.Now().Sub(j.moved) >= stall }

// watch sets the timer as long as a pool starves. With mu.
func (j *Jobs) watch() {
	starving := slices.ContainsFunc(j.line, (*seat).starves)
	switch {
	case starving && j.stop == nil:
		j.stop = j.clock.AfterFunc(j.moved.Add(stall).Sub(j.clock.Now()), j.relieve)
	case !starving && j.stop != nil:
		j.stop()
		j.stop = nil
	}
}

// relieve gives each pool that starves a slot too many if the others' makers have kept
// all slots for long: some of them may hang.
func (j *Jobs) relieve() {
	j.mu.Lock()
	j.stop = nil
	var wakes []func()
	for _, s := range slices.Clone(j.line) {
		if s.starves() && j.stalled() {
			wakes = append(wakes, j.give(s))
		}
	}
	j.watch()
	j.mu.Unlock()
	for _, wake := range wakes {
		wake()
	}
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
