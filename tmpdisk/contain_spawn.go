// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"math"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"
)

// A spawner is an OS thread that commands are forked from. It lives as long as
// the process, because the parent death signal is sent when the thread that
// forked dies: a thread of nbdkit's dies with its connection, and one of Go's
// when the runtime likes. Nothing is lost by it, Go forks one at a time
// anyway.
type spawner struct {
	once sync.Once
	work chan func()
	// begin, if not nil, is run first, on the thread.
	begin func()
}

var (
	ordinary spawner
	// quiet forks processes whose fsync does nothing, where the kernel can
	// be told so. See nosync.go.
	quiet = spawner{begin: func() { quietErr = installNoSync() }}
	// modest forks commands that run as another user. They gain nothing from
	// set-user-ID programs, which an earlier command may have left so that a
	// later one can become its user, and read what that one makes then.
	modest = spawner{begin: func() { unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }}
	// quietErr says why it could not; set before the first fork.
	quietErr error
)

// onSpawner runs f on the thread and returns when f has.
func onSpawner(f func()) { ordinary.run(f) }

// onModestSpawner does so on the thread of the modest one.
func onModestSpawner(f func()) { modest.run(f) }

// onQuietSpawner does so on the thread of the quiet one.
func onQuietSpawner(f func()) { quiet.run(f) }

// quietError says why what onQuietSpawner forks is not quiet; nil if it is.
func quietError() error {
	onQuietSpawner(func() {})
	return quietErr
}

func (s *spawner) run(f func()) {
	s.once.Do(func() {
		s.work = make(chan func())
		go s.loop()
	})
	done := make(chan struct{})
	s.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

func (s *spawner) loop() {
	runtime.LockOSThread()
	// What nbdkit inherited without close-on-exec, from a shell that
	// started it say, must not reach commands. What nbdkit itself opens has
	// the flag. Needs Linux 5.11; before that such descriptors are passed on.
	unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
	if s.begin != nil {
		s.begin()
	}
	for f := range s.work {
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
