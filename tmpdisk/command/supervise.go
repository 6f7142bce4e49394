// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// process is the first process of a command. It is held back at a gate, a pipe
// on its descriptor 3, until one line is written there. The line comes when
// the parent death signal is certain to be set. If the server dies before, the
// process reads the end of the file instead, and exits.
//
// Go has a check of its own for that, which does nothing in a new PID
// namespace: it compares getppid, which is 0 there, and then kills itself,
// which has no effect on the first process of a namespace.
type process struct {
	way    *containment
	pid    int
	gate   *os.File      // without a namespace it stays open until end
	exited chan struct{} // closed when the process is a zombie
}

// start builds c's first process, forks it, and opens its gate.
func (r *Runner) start(c *Command, way *containment, stderr, setup, script *os.File) (*process, error) {
	gateR, gateW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	defer gateR.Close()
	p := &process{way: way, gate: gateW, exited: make(chan struct{})}
	text, thread := superviseText, &r.plain
	if !way.namespaced() {
		text = groupText
	}
	if c.As != nil {
		thread = &r.restricted
	}
	failed := thread.run(func(fds []int) {
		p.pid, err = c.fork(way, text, fds)
	}, stderr, gateR, setup, script)
	if err := errors.Join(failed, err); err != nil {
		gateW.Close()
		return nil, fmt.Errorf("start: %w", err)
	}
	go func() {
		waitZombie(p.pid)
		close(p.exited)
	}()
	if err := p.openGate(); err != nil {
		_, left := p.end()
		return nil, errors.Join(fmt.Errorf("start: %w", err), left)
	}
	return p, nil
}

// fork starts a process that runs text, a shell script that finds files on its
// descriptors from 2 on. It runs on one of the Runner's threads.
func (c *Command) fork(way *containment, text string, files []int) (pid int, err error) {
	if c.As != nil {
		// A command must not gain anything from a set-user-ID program. An
		// earlier command may have made one, so that a later one can become
		// its user and read the disk that a still later one makes.
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return 0, fmt.Errorf("no_new_privs: %w", err)
		}
		if err := newSessionKeyring(); err != nil {
			return 0, err
		}
	}
	null, err := unix.Open(os.DevNull, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", os.DevNull, err)
	}
	defer unix.Close(null)
	attr := &syscall.ProcAttr{
		Dir:   c.Dir,
		Files: []uintptr{uintptr(null), uintptr(null)},
		Env:   os.Environ(),
		Sys: &syscall.SysProcAttr{
			Setsid:      true,
			Pdeathsig:   unix.SIGKILL,
			Cloneflags:  way.clone,
			AmbientCaps: way.ambient,
		},
	}
	for _, fd := range files {
		attr.Files = append(attr.Files, uintptr(fd))
	}
	if c.As != nil {
		attr.Env = c.As.Environ(c.Dir)
		attr.Sys.Credential = c.As.Credential()
	}
	attr.Env = slices.DeleteFunc(attr.Env, func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(c.Unexported, name)
	})
	// Not package os, which keeps descriptors for other threads.
	pid, err = syscall.ForkExec("/bin/sh", []string{"sh", "-c", text, "command"}, attr)
	if err != nil {
		return 0, fmt.Errorf("/bin/sh: %w", err)
	}
	return pid, nil
}

// openGate lets the process go on. What it needs of this one, outside of its
// namespaces, is done first.
func (p *process) openGate() error {
	if p.way.mapsUser() {
		if err := mapOwnIDs(p.pid); err != nil {
			return err
		}
	}
	if p.way.namespaced() {
		defer p.gate.Close() // the parent death signal does the rest
	}
	_, err := fmt.Fprintln(p.gate, p.pid-1)
	return err
}

// await returns when the process has ended by itself, or why it must be ended.
func (p *process) await(ctx context.Context, timeout time.Duration) error {
	var expired <-chan time.Time
	if timeout > 0 {
		expired = time.After(timeout)
	}
	select {
	case <-p.exited:
		return nil
	case <-expired:
		return fmt.Errorf("timed out after %v, which command-timeout allows: %w", timeout, context.DeadlineExceeded)
	case <-ctx.Done():
		return sys.ContextError(ctx)
	}
}

// end kills whatever is left of the command and waits until it is gone. It returns
// how the process ended.
func (p *process) end() (*unix.WaitStatus, error) {
	if !p.way.namespaced() {
		unix.Kill(-p.pid, unix.SIGKILL)
	}
	p.gate.Close()
	unix.Kill(p.pid, unix.SIGKILL)
	var status unix.WaitStatus
	reaped := make(chan struct{})
	go func() {
		defer close(reaped)
		<-p.exited
		_ = sys.Retry(func() error { _, err := unix.Wait4(p.pid, &status, 0, nil); return err })
		if !p.way.namespaced() {
			awaitGroup(p.pid)
		}
	}()
	select {
	case <-reaped:
		return &status, nil
	case <-time.After(sys.DeathPatience):
		return nil, fmt.Errorf("process %d: blocked in the kernel, still alive %v after it was killed", p.pid, sys.DeathPatience)
	}
}

// awaitGroup gives a process group that was killed 100 ms to end. Its leader was
// the child pid. Zombies count too, and the first process of a container may be
// slow to take them away, or never do it: hence not longer. Where that process is
// this server, they are taken away here.
func awaitGroup(pid int) {
	for end := time.Now().Add(100 * time.Millisecond); time.Now().Before(end); time.Sleep(time.Millisecond) {
		unix.Wait4(-pid, nil, unix.WNOHANG, nil)
		if unix.Kill(-pid, 0) == unix.ESRCH {
			return
		}
	}
}

// waitZombie returns when child pid has ended. It stays a zombie until end has
// killed survivors, so that its number, which is also its group's, stays
// taken. The first process of a PID namespace ends when all others in it are
// gone.
//
// Go's poller does the waiting: a thread for each command that runs would soon
// reach a limit on threads, at which the Go runtime aborts.
func waitZombie(pid int) {
	if fd, err := unix.PidfdOpen(pid, 0); err == nil {
		unix.SetNonblock(fd, true) // tells NewFile that it is one to poll
		f := os.NewFile(uintptr(fd), "pidfd")
		defer f.Close()
		conn, err := f.SyscallConn()
		if err == nil && conn.Read(func(uintptr) bool { return exited(pid, unix.WNOHANG) }) == nil {
			return
		}
	}
	exited(pid, 0) // a limit on descriptors has been reached
}

// exited is whether child pid has ended. Without WNOHANG it waits for that.
func exited(pid, flags int) bool {
	var info unix.Siginfo
	err := sys.Retry(func() error {
		return unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|flags, nil)
	})
	return err != nil || info.Signo != 0
}
