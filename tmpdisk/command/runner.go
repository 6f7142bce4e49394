// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package command

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Runner runs commands. It keeps two threads for the rest of the process's life,
// so a process should have one Runner.
type Runner struct {
	debug func(string)

	threads, once sync.Once

	way *containment // detect has set it

	// plain forks commands that run as this process does.
	plain thread
	// restricted forks commands that run as another user. What it has given up
	// for them it does not get back.
	restricted thread
}

// NewRunner returns a Runner that logs to debug. It starts nothing yet.
func NewRunner(debug func(string)) *Runner { return &Runner{debug: debug} }

// Prepare finds the best containment that works here, by trying, and logs it.
// The first Run does so otherwise, and takes longer. The error says why no
// command can run here now; so will Run's.
//
// No command waits for a file, to ask its filesystem when a copy of it is closed, that
// is opened after the first call.
func (r *Runner) Prepare() error {
	r.threads.Do(func() {
		r.plain.start()
		r.restricted.start()
	})
	// The shell would only say that it cannot open something.
	if err := unix.Access("/proc/self/fd", unix.X_OK); err != nil {
		return fmt.Errorf("/proc/self/fd: %w: commands need /proc (mount -t proc proc /proc)", err)
	}
	r.once.Do(r.detect)
	return nil
}

// Warning is for the log of a server that contains commands less well than it
// should; "" if it does not. It is known after Prepare.
func (r *Runner) Warning() string {
	if r.way == nil || r.way.namespaced() {
		return ""
	}
	return "commands are contained only by their process group, because no PID namespace is permitted here: " +
		"a process that begins a session or a group of its own outlives its command"
}

// Guess takes the containment that works nearly everywhere for the best one, without a
// trial: the first command is that. It is for a process that runs a few commands and asks
// another Runner if one fails.
func (r *Runner) Guess() {
	r.once.Do(func() {
		r.way = withPIDs
		if os.Geteuid() != 0 {
			r.way = withUser
		}
	})
}

// detect finds the best way, and logs why each better one does not work.
func (r *Runner) detect() {
	ways := []*containment{withPIDs}
	// Root in a container without CAP_SYS_ADMIN is not put into a user
	// namespace, where it would lose the capabilities it does have and all
	// users but itself.
	if os.Geteuid() != 0 {
		ways = append(ways, withUser, withUserOnly)
	}
	r.way = withGroup
	for _, way := range ways {
		nothing := &Command{Script: "exit 0", Timeout: 30 * time.Second}
		err := r.run(context.Background(), nothing, way)
		if err == nil {
			r.way = way
			break
		}
		r.debug(fmt.Sprintf("commands are not contained by: %s: %v (ignored)", way.name, err))
	}
	r.debug("commands are contained by: " + r.way.name)
}
