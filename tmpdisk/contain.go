// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// containment is one way to keep hold of everything that a command starts.
//
// The good ways give it a PID namespace of its own. When the first process of
// a PID namespace ends, the kernel kills every other one in it, however it was
// forked and whatever it ignores, and makes no new one: nothing else that
// Linux offers an ordinary user cannot be outrun by a process that forks.
// Ending a command is then killing one process.
//
// That first process is a shell that only waits for the command (supervisor).
// It is not the command itself, because a command may replace itself with a
// set-user-ID program, and the kernel then forgets the parent death signal,
// which is what ends the namespace when this server is killed; and because the
// first process of a namespace is immune to its own signals, which a script
// that says `kill $$` must not notice.
//
// /proc is not mounted anew, so it shows the numbers of the outer namespace.
// /proc/self is right in both.
type containment struct {
	name string
	// Flags of clone.
	clone uintptr
	// Capabilities within the new user namespace that survive exec.
	ambient []uintptr
	// No supervisor.
	alone bool
}

const capCheckpointRestore = 40 // Linux 5.9

var (
	// For who has CAP_SYS_ADMIN. There is no mount namespace: with a copy of
	// all mounts a command would keep each filesystem of this machine busy
	// that is unmounted while it runs.
	withPIDs = &containment{
		name:  "PID namespace",
		clone: unix.CLONE_NEWPID,
	}
	// For ordinary users. The capability has no power outside of the
	// namespace; it is for the one line in supervisor.
	withUser = &containment{
		name:    "user and PID namespace",
		clone:   unix.CLONE_NEWUSER | unix.CLONE_NEWPID,
		ambient: []uintptr{capCheckpointRestore},
	}
	withUserOnly = &containment{
		name:  "user and PID namespace (process numbers repeat)",
		clone: unix.CLONE_NEWUSER | unix.CLONE_NEWPID,
	}
	// Where the kernel, its settings or a container allow none of these.
	// See contain_scan.go.
	withScan = &containment{
		name: "session and environment mark, found through /proc",
	}
)

// forMkfs is for a script of our own that becomes mkfs, or a program that gives
// a filesystem another UUID. These neither gain privileges by exec nor send
// themselves signals, so they can be the first process of the namespace, and
// the shell that is not started is a good part of the time that mkfs takes.
// Without namespaces there is only the session to end; they do not leave it.
func (c *containment) forMkfs() *containment {
	return &containment{name: c.name, clone: c.clone, alone: true}
}

func (c *containment) namespaced() bool { return c.clone != 0 }
func (c *containment) mapsUser() bool   { return c.clone&unix.CLONE_NEWUSER != 0 }

// gate is the beginning of what any first process runs; mkfs's goes on with the
// script at once.
const (
	gate      = "read -r go <&3 || exit 125\nexec 3<&-\n"
	aloneText = gate + ". /dev/fd/4"
)

// supervisor waits at the gate, descriptor 3, for one line. The line is sent
// when the parent death signal is set for certain; end of file comes instead
// if the server died before that.
//
// The line is a process number, and the next process in this namespace gets
// the one after it, which makes $$ what it would be without a namespace: unlike
// that of any other command running now. Scripts name temporary files so.
// Where that is not permitted (a command that runs as another user, /proc/sys
// mounted read-only) $$ is a small number.
//
// The last line is there because a shell may replace itself with the last
// command of its script.
const supervisor = gate + `echo "$go" 2>/dev/null >/proc/sys/kernel/ns_last_pid
/bin/sh -c '. /dev/fd/4' command
exit $?`

// The script is on descriptor 4, which what it starts must not inherit. This
// goes in front of its first line, so that line numbers stay what they are.
const scriptPrologue = "exec 4<&-; "

// detectContainment finds the best way that works here, by trying. It must
// not be called before the server has forked for the last time. A command that
// runs earlier does it silently.
func detectContainment(host Host) {
	found := contained()
	host.Debug("commands are contained by: " + found.how.name)
	for _, err := range found.refused {
		host.Debug(fmt.Sprintf("commands are not contained by: %v (ignored)", err))
	}
	if err := quietError(); err != nil {
		host.Debug(fmt.Sprintf("mkfs syncs what it writes: %v (ignored)", err))
	}
}

type detected struct {
	once    sync.Once
	how     *containment
	refused []error
}

var detection detected

func contained() *detected {
	detection.once.Do(detection.detect)
	return &detection
}

func (d *detected) detect() {
	ways := []*containment{withPIDs}
	// Root in a container without CAP_SYS_ADMIN is not put into a user
	// namespace, where it would lose the capabilities it does have and all
	// users but itself.
	if os.Geteuid() != 0 {
		ways = append(ways, withUser, withUserOnly)
	}
	for _, way := range ways {
		err := tryContainment(way)
		if err == nil {
			d.how = way
			return
		}
		d.refused = append(d.refused, fmt.Errorf("%s: %w", way.name, err))
	}
	d.how = withScan
}

// tryContainment runs a command that does nothing. It must be the first
// process but one in its namespace.
func tryContainment(how *containment) error {
	c := &command{script: "exit 0", timeout: 30 * time.Second, contain: how}
	return c.run(context.Background())
}
