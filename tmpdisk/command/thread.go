// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package command

import (
	"math"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// thread is an OS thread that commands are forked from. It lives as long as
// the process, because the parent death signal is sent when the thread that
// forked dies: a thread of nbdkit's dies with its connection, and one of Go's
// when the runtime likes. Nothing is lost by it: Go forks one at a time anyway.
type thread struct {
	once sync.Once
	work chan func()
}

// run runs f on the thread and returns when f has.
func (t *thread) run(f func()) {
	t.once.Do(func() {
		t.work = make(chan func())
		go t.loop()
	})
	done := make(chan struct{})
	t.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

func (t *thread) loop() {
	runtime.LockOSThread()
	// What nbdkit inherited without close-on-exec, from a shell that
	// started it say, must not reach commands. What nbdkit itself opens has
	// the flag. Needs Linux 5.11; before that such descriptors are passed on.
	unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	for f := range t.work {
		unblocked(f)
	}
}

// unblocked runs f with no signal blocked, because a child starts with the
// mask that the forking thread has. Only around the fork: signals are left to
// the threads that the server means to take them.
func unblocked(f func()) {
	var none, old unix.Sigset_t
	if unix.PthreadSigmask(unix.SIG_SETMASK, &none, &old) == nil {
		defer unix.PthreadSigmask(unix.SIG_SETMASK, &old, nil)
	}
	f()
}
