// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// command is one run of a shell script. The zero value of every field but
// script is a sensible default. A command is run once.
type command struct {
	// script is the text that /bin/sh reads. It may be of any length; the
	// line numbers in the shell's messages are those of this text.
	script string
	// timeout is how long it may run; 0 is for ever.
	timeout time.Duration
	// dir is the directory that it starts in; "" is this process's.
	dir string
	// as is who it runs as; nil is this process's user. Afterwards nothing
	// that belongs to that user is alive. dir must be one of its own.
	as *identity
	// said, if not nil, is told what a script wrote to standard error that
	// succeeded.
	said func(text string)

	contain *containment // nil is the best there is
}

// killPatience is how long run waits for killed processes to be gone. Only a
// process that the kernel itself has blocked, on a dead NFS server say, takes
// longer than an instant.
const killPatience = 10 * time.Second

// run runs the script and waits until nothing that it started is alive.
//
// The script's standard input and output are /dev/null, its standard error is
// kept for the error text and for said, it inherits no other descriptor, no blocked signal,
// and ignores none of HUP, INT, QUIT, PIPE, TERM and CHLD.
//
// nil means exit code 0. Otherwise the error gives the exit code or the
// signal, then the last few KiB of standard error. If ctx is cancelled or the
// timeout passes, everything is killed and the error wraps ctx.Err() or
// context.DeadlineExceeded.
func (c *command) run(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("command: %s: %w", whyCancelled(err), err)
	}
	script, err := scriptFile(scriptPrologue + c.script)
	if err != nil {
		return fmt.Errorf("command: hold script: %w", err)
	}
	defer script.Close()
	messages, err := newTail()
	if err != nil {
		return fmt.Errorf("command: make pipe: %w", err)
	}
	defer messages.close()

	how := c.contain
	if how == nil {
		how = contained().how
	}
	cmd := &exec.Cmd{Dir: c.dir, Stderr: messages.w, SysProcAttr: &syscall.SysProcAttr{}}
	if c.as != nil {
		c.as.apply(cmd)
	}
	p, err := start(cmd, script, how)
	messages.started()
	if err != nil {
		return fmt.Errorf("command: %w", c.startError(err))
	}

	var expired <-chan time.Time
	if c.timeout > 0 {
		t := time.NewTimer(c.timeout)
		defer t.Stop()
		expired = t.C
	}
	var stopped error // why it was killed; nil if it ended by itself
	select {
	case <-p.exited:
	case <-expired:
		stopped = fmt.Errorf("timed out after %v, which command-timeout allows: %w", c.timeout, context.DeadlineExceeded)
	case <-ctx.Done():
		stopped = fmt.Errorf("%s: %w", whyCancelled(ctx.Err()), ctx.Err())
	}
	left := c.endAll(p, how)
	text := cleanShellMessages(messages.text())

	err = stopped
	if err == nil {
		err = exitError(p.status())
	}
	if err != nil {
		if text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
		err = fmt.Errorf("command: %w", err)
	} else if text != "" && c.said != nil {
		c.said(text)
	}
	if left != nil {
		err = errors.Join(err, fmt.Errorf("command: clean up: %w", left))
	}
	return err
}

// endAll ends p and whatever else is its user's.
func (c *command) endAll(p *process, how *containment) error {
	if c.as == nil {
		return p.end(killPatience)
	}
	if how.namespaced() {
		return errors.Join(p.end(killPatience), c.as.killAll(killPatience))
	}
	// By user, a process that keeps forking is caught at the first try.
	return errors.Join(c.as.killAll(killPatience), p.end(killPatience))
}

func whyCancelled(err error) string {
	if errors.Is(err, context.Canceled) {
		return "client went away"
	}
	return "no time left"
}

// exitError is nil for exit code 0.
func exitError(state *os.ProcessState) error {
	if state == nil {
		return nil // not reaped: end has said so
	}
	ws := state.Sys().(syscall.WaitStatus)
	switch {
	case ws.Signaled():
		return fmt.Errorf("killed by signal %d (%v)", ws.Signal(), ws.Signal())
	case ws.ExitStatus() > 128 && ws.ExitStatus() <= 128+64:
		// The shell's way of saying that what it ran died so. A script
		// that says `exit 137` itself cannot be told from one that was
		// killed: the shell that waited for it got no more than that.
		sig := syscall.Signal(ws.ExitStatus() - 128)
		return fmt.Errorf("exit code %d, which stands for killed by signal %d (%v)", ws.ExitStatus(), sig, sig)
	case ws.ExitStatus() != 0:
		return fmt.Errorf("exit code %d", ws.ExitStatus())
	}
	return nil
}

// startError adds the remedy where there is one.
func (c *command) startError(err error) error {
	if c.dir != "" {
		// fork and exec report one error for the directory and the shell.
		if _, statErr := os.Stat(c.dir); statErr != nil {
			return fmt.Errorf("start: %w", statErr)
		}
	}
	switch {
	case errors.Is(err, unix.EAGAIN):
		return fmt.Errorf("%w: the limit on processes is reached (ulimit -u, or pids.max of the cgroup)", err)
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("%w: the limit on namespaces is reached (sysctl user.max_pid_namespaces and the like)", err)
	case errors.Is(err, unix.EACCES) && c.as != nil:
		return fmt.Errorf("%w: user %d must be able to reach the directory that TMPDIR names", err, c.as.uid)
	}
	return err
}

// scriptFile returns an open file, unnamed and in memory, that holds text. An
// argument of a program could not be longer than 128 KiB.
func scriptFile(text string) (*os.File, error) {
	fd, err := unix.MemfdCreate("command", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		// Linux before 6.3. Later ones may insist on the flag
		// (sysctl vm.memfd_noexec).
		fd, err = unix.MemfdCreate("command", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "command")
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := f.Seek(0, 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
