// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package writeback

import (
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// mostLeft is how many files wait at most that their clients have left: each has a
// descriptor.
const mostLeft = 100

// A Job is one file to ask about.
type Job struct {
	Key  keep.Key
	Seen *Seen // of this file; only the Queue uses it
	// FD is a descriptor that the Queue closes.
	FD int
	// Open, if not nil, is called in place of FD when the file's turn has come. It
	// returns a descriptor, which the Queue closes, or -1 if the file need not be
	// asked about any more.
	Open func() int
	// Failed is told why not all could be written. fd is open until it returns.
	Failed func(fd int, why error)
}

// A Queue asks about one file at a time.
type Queue struct {
	ask   func(fd int) error
	debug func(string)

	mu      sync.Mutex
	jobs    []Job
	inRound int // jobs with Open that have not been done
	left    int // jobs with FD that have not begun
	working bool
	stopped bool
}

// New returns a Queue that has nothing to do. ask is nil, or takes fdatasync's place in
// tests.
func New(ask func(fd int) error, debug func(string)) *Queue {
	if ask == nil {
		ask = sys.Fdatasync
	}
	return &Queue{ask: ask, debug: debug}
}

// Round adds jobs that have Open, unless some of the last round have not been done yet.
func (q *Queue) Round(jobs []Job) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.stopped && q.inRound == 0 {
		q.jobs = append(q.jobs, jobs...)
		q.inRound = len(jobs)
		q.begin()
	}
}

// Add adds a job that has FD. If there are too many of these, Add closes the descriptor
// and returns false.
func (q *Queue) Add(j Job) bool {
	q.mu.Lock()
	room := !q.stopped && q.left < mostLeft
	if room {
		q.jobs = append(q.jobs, j)
		q.left++
		q.begin()
	}
	q.mu.Unlock()
	if !room {
		unix.Close(j.FD)
	}
	return room
}

// Forget drops what was added for key and has not begun: the file is to go, and with the
// last descriptor its space.
func (q *Queue) Forget(key keep.Key) {
	q.drop(func(j Job) bool { return j.Key == key && j.Open == nil })
}

// Stop drops all that has not begun. It does not wait for what has.
func (q *Queue) Stop() {
	q.mu.Lock()
	q.stopped = true
	q.mu.Unlock()
	q.drop(func(Job) bool { return true })
}

// drop drops jobs that have not begun. Closing a file may take long.
func (q *Queue) drop(which func(Job) bool) {
	q.mu.Lock()
	var open []int
	q.jobs = slices.DeleteFunc(q.jobs, func(j Job) bool {
		if !which(j) {
			return false
		}
		if j.Open != nil {
			q.inRound--
		} else {
			q.left--
			open = append(open, j.FD)
		}
		return true
	})
	q.mu.Unlock()
	for _, fd := range open {
		unix.Close(fd)
	}
}

// Idle reports whether there is nothing to do.
func (q *Queue) Idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return !q.working
}

// begin has a goroutine do what there is to do. With mu.
func (q *Queue) begin() {
	if !q.working && len(q.jobs) > 0 {
		q.working = true
		go q.work()
	}
}

func (q *Queue) work() {
	for {
		q.mu.Lock()
		if len(q.jobs) == 0 {
			q.working = false
			q.mu.Unlock()
			return
		}
		j := q.jobs[0]
		q.jobs = q.jobs[1:]
		if j.Open == nil {
			q.left--
		}
		q.mu.Unlock()
		q.do(j)
		if j.Open != nil {
			q.mu.Lock()
			q.inRound--
			q.mu.Unlock()
		}
	}
}

func (q *Queue) do(j Job) {
	fd := j.FD
	if j.Open != nil {
		fd = j.Open()
	}
	if fd < 0 {
		return
	}
	defer unix.Close(fd)
	if !j.Seen.due(fd) {
		return
	}
	switch err := q.ask(fd); {
	case err == nil:
	case Missing(err):
		j.Failed(fd, err)
	default:
		j.Seen.again = true
		q.debug("session " + j.Key.Short() + ": fdatasync: " + err.Error() + " (ignored)")
	}
}
