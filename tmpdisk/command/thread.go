// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package command

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// thread is an OS thread that commands are forked from. It lives as long as
// the process, because the parent death signal is sent when the thread that
// forked dies: a thread of nbdkit's dies with its connection, and one of Go's
// when the runtime likes. Nothing is lost by it: Go forks one at a time anyway.
//
// It has a table of descriptors of its own, without the files that the process opens
// later. A child closes its copies of all that when it execs, and to close a file
// asks some filesystems, of which one may hang. All forks would wait for that.
type thread struct {
	mu   sync.Mutex // of all that use the thread
	work chan func()
	// Files are passed from door, of the process's table, to inside, of the thread's.
	// -1 if there is one table.
	door, inside int
}

// start starts the thread. It is called before the process has opened a file that
// commands must not wait for.
func (t *thread) start() {
	t.work = make(chan func())
	t.door, t.inside = -1, -1
	if pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0); err == nil {
		t.door, t.inside = pair[0], pair[1]
	}
	// Go's poller may be asked from any thread, and so must have its descriptors in the
	// table before that is copied.
	if r, w, err := os.Pipe(); err == nil {
		r.Close()
		w.Close()
	}
	ready := make(chan bool)
	go t.loop(ready)
	own := <-ready
	if t.door >= 0 {
		unix.Close(t.inside) // the thread has its own
	}
	if t.door >= 0 && !own {
		unix.Close(t.door)
		t.door = -1
	}
}

// run runs f on the thread, with the numbers that files have there, and returns when
// f has.
func (t *thread) run(f func(fds []int), files ...*os.File) (err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fds := make([]int, len(files))
	for i, file := range files {
		fds[i] = int(file.Fd())
	}
	if t.door >= 0 {
		err := sys.Retry(func() error { return unix.Sendmsg(t.door, []byte{0}, unix.UnixRights(fds...), nil, 0) })
		if err != nil {
			return fmt.Errorf("pass files: %w", err)
		}
	}
	done := make(chan struct{})
	t.work <- func() {
		defer close(done)
		if t.door >= 0 {
			fds, err = t.receive(len(files))
			defer func() {
				for _, fd := range fds {
					unix.Close(fd)
				}
			}()
			if err != nil {
				return
			}
		}
		f(fds)
	}
	<-done
	runtime.KeepAlive(files)
	return err
}

func (t *thread) loop(ready chan bool) {
	runtime.LockOSThread()
	if unix.Gettid() == unix.Getpid() {
		// /proc/self/fd is this thread's table. As long as it is taken, another one runs
		// what is begun here. Only in tests: nbdkit's first thread is not Go's.
		defer runtime.UnlockOSThread()
		another := make(chan bool)
		go t.loop(another)
		ready <- <-another
		return
	}
	// What nbdkit inherited without close-on-exec, from a shell that
	// started it say, must not reach commands. What nbdkit itself opens has
	// the flag. Needs Linux 5.11; before that such descriptors are passed on.
	flags := uint(unix.CLOSE_RANGE_CLOEXEC)
	if t.door >= 0 {
		flags |= unix.CLOSE_RANGE_UNSHARE
	}
	own := unix.CloseRange(3, math.MaxUint32, flags) == nil && t.door >= 0
	if own {
		t.closeFiles()
	}
	ready <- own
	for f := range t.work {
		unblocked(f)
	}
}

// closeFiles closes the thread's copies of what is open already, but for pipes and what
// has no name, which may be Go's. Whoever is connected to a socket notices then when
// nbdkit closes it, and a file that is removed is gone when the process closes it.
func (t *thread) closeFiles() {
	const dir = "/proc/thread-self/fd/"
	list, _ := os.ReadDir(dir)
	for _, e := range list {
		fd, err := strconv.Atoi(e.Name())
		to, _ := os.Readlink(dir + e.Name())
		if err == nil && fd > 2 && fd != t.inside && (strings.HasPrefix(to, "socket:") || strings.HasPrefix(to, "/")) {
			unix.Close(fd)
		}
	}
}

// receive takes n files that were passed. It runs on the thread.
func (t *thread) receive(n int) ([]int, error) {
	oob := make([]byte, unix.CmsgSpace(4*n))
	oobn, err := sys.Retry2(func() (int, error) {
		_, oobn, _, _, err := unix.Recvmsg(t.inside, make([]byte, 1), oob, unix.MSG_CMSG_CLOEXEC)
		return oobn, err
	})
	if err != nil {
		return nil, fmt.Errorf("receive files: %w", err)
	}
	var fds []int
	messages, _ := unix.ParseSocketControlMessage(oob[:oobn])
	for _, m := range messages {
		fds, _ = unix.ParseUnixRights(&m)
	}
	if len(fds) != n {
		err = fmt.Errorf("receive files: got %d, want %d", len(fds), n)
	}
	return fds, err
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
