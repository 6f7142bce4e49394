// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package command

import (
	"errors"
	"fmt"
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

// newSessionKeyring gives the calling thread, and what it forks from now on, an
// empty session keyring in place of the one that it had. Otherwise a command
// would have the server's, whoever it runs as: the right to use a keyring goes
// by having it and not only by its owner.
//
// Commands that run as the server does keep the server's keys, which may be
// what they open their files with.
func newSessionKeyring() error {
	_, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
	return keyringError(err)
}

// keyringError is nil if the command can reach no keyring either: the kernel
// has none, or the seccomp filter of a container, which the command is under as
// well, forbids them. Some filters say ENOSYS, others EPERM; the call itself
// says neither. Any other failure would leave the command the old keyring.
func keyringError(err error) error {
	switch {
	case err == nil, errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
		return nil
	case errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("new session keyring: %w: the limit on keys is reached (sysctl kernel.keys.root_maxkeys, root_maxbytes)", err)
	}
	return fmt.Errorf("new session keyring: %w", err)
}
