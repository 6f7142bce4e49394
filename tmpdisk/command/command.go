// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package command

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
	"nbdkit-tmpdisk-plugin/tmpdisk/users"
)

// Command is one run of a shell script. The zero value of every field but
// Script is a sensible default.
type Command struct {
	// Script is the text that /bin/sh reads. It may be of any length; the
	// line numbers in the shell's messages are those of this text.
	Script string
	// Setup, assignments for example, is read first, by the same shell.
	Setup string
	// Unexported are names that the environment must not have, because Setup
	// assigns them: a shell exports what it assigns to a name of its
	// environment.
	Unexported []string
	// Timeout is how long it may run; 0 is for ever.
	Timeout time.Duration
	// Dir is the directory that it starts in; "" is this process's.
	Dir string
	// As is who it runs as; nil is this process's user. Afterwards nothing
	// that belongs to that user is alive. Dir must be one of its own.
	As *users.User
	// Said, if not nil, is told what a script wrote to standard error that
	// succeeded.
	Said func(text string)
	// Left, if not nil, is told what of it could not be killed, which the error says
	// as well.
	Left func(error)
}

// Run runs the script and waits until nothing that it started is alive.
//
// The script's standard input and output are /dev/null. Its standard error is
// kept for the error text and for Said. It inherits no other descriptor, no
// blocked signal, and ignores none of HUP, INT, QUIT, PIPE, TERM and CHLD.
//
// nil means exit code 0. Otherwise the error gives the exit code (an [ExitError]) or the
// signal, then the last few KiB of standard error. If ctx is cancelled or the
// timeout passes, everything is killed and the error wraps ctx.Err() (and the
// cause that was given to cancel) or context.DeadlineExceeded.
func (r *Runner) Run(ctx context.Context, c Command) error {
	if err := r.Prepare(); err != nil {
		return fmt.Errorf("command: %w", err)
	}
	return r.run(ctx, &c, r.way)
}

func (r *Runner) run(ctx context.Context, c *Command, way *containment) error {
	if ctx.Err() != nil {
		return fmt.Errorf("command: %w", sys.ContextError(ctx))
	}
	setup, script, err := c.files()
	if err != nil {
		return fmt.Errorf("command: hold script: %w", err)
	}
	defer setup.Close()
	defer script.Close()
	messages, err := newTail()
	if err != nil {
		return fmt.Errorf("command: make pipe: %w", err)
	}
	defer messages.close()
	if c.As != nil {
		// For scripts that write to /dev/stderr, which is opened anew.
		if err := messages.w.Chown(c.As.UID, c.As.GID); err != nil {
			return fmt.Errorf("command: give pipe: %w", err)
		}
	}

	p, err := r.start(c, way, messages.w, setup, script)
	messages.w.Close() // the command has its own copy
	if err != nil {
		return fmt.Errorf("command: %w", c.startError(err))
	}
	stopped := p.await(ctx, c.Timeout)
	state, left := p.end()
	if c.As != nil {
		left = errors.Join(left, c.As.KillAll())
	}
	return c.result(cmp.Or(stopped, exitError(state)), left, handedOver.Replace(messages.text()))
}

// result is Run's error. err is why the command was killed, or how it ended, and
// left what could not be killed.
func (c *Command) result(err, left error, text string) error {
	switch {
	case err != nil && text != "":
		err = fmt.Errorf("command: %w: %s", err, text)
	case err != nil:
		err = fmt.Errorf("command: %w", err)
	case text != "" && c.Said != nil:
		c.Said(text)
	}
	if left != nil {
		if c.Left != nil {
			c.Left(left)
		}
		err = errors.Join(err, fmt.Errorf("command: clean up: %w", left))
	}
	return err
}

// exitError is nil for exit code 0, and for no state: end has said that then.
func exitError(ws *unix.WaitStatus) error {
	switch {
	case ws == nil:
		return nil
	case ws.Signaled():
		return fmt.Errorf("killed by signal %d (%v)", ws.Signal(), ws.Signal())
	case ws.ExitStatus() > 128 && ws.ExitStatus() <= 128+64:
		// The shell's way of saying that what it ran died so. A script
		// that says `exit 137` itself cannot be told from one that was
		// killed: the shell that waited for it got no more than that.
		sig := unix.Signal(ws.ExitStatus() - 128)
		return fmt.Errorf("exit code %d, which stands for killed by signal %d (%v)", ws.ExitStatus(), sig, sig)
	case ws.ExitStatus() != 0:
		return ExitError(ws.ExitStatus())
	}
	return nil
}

// An ExitError is the exit code of a script that ended by itself, and was not killed: 1 to
// 128 or 193 to 255.
type ExitError int

func (e ExitError) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

// startError adds the remedy where there is one.
func (c *Command) startError(err error) error {
	if c.Dir != "" {
		// fork and exec report one error for the directory and the shell.
		if _, statErr := os.Stat(c.Dir); statErr != nil {
			return fmt.Errorf("start: %w", statErr)
		}
	}
	switch {
	case errors.Is(err, unix.EAGAIN):
		return fmt.Errorf("%w: the limit on processes is reached (ulimit -u, TasksMax= of the unit or pids.max of the cgroup, sysctl kernel.pid_max)", err)
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("%w: the limit on namespaces is reached (sysctl user.max_pid_namespaces and the like)", err)
	case errors.Is(err, unix.EACCES) && c.As != nil:
		return fmt.Errorf("%w: user %d must be able to reach the directory that TMPDIR names", err, c.As.UID)
	}
	return err
}
