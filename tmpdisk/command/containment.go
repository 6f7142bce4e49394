// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package command

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// containment is one way to keep hold of everything that a command starts.
//
// The good ways give it a PID namespace of its own. When the first process of
// a PID namespace ends, the kernel kills every other one in it, however it was
// forked and whatever it ignores, and makes no new one. Nothing else that
// Linux offers an ordinary user stops a process that keeps forking. To end a
// command is then to kill one process.
//
// That first process is a shell that only waits for the command (supervise.sh).
// It cannot be the command itself, for two reasons. A command may replace
// itself with a set-user-ID program, and the kernel then forgets the parent
// death signal, which is what ends the namespace when this server is killed.
// And the first process of a namespace is immune to its own signals, which a
// script that says `kill $$` must not notice.
//
// /proc is not mounted anew, so it shows the numbers of the outer namespace.
// /proc/self is right in both.
type containment struct {
	name string
	// Flags of clone; 0 makes no namespace.
	clone uintptr
	// Capabilities within the new user namespace that survive exec.
	ambient []uintptr
}

const capCheckpointRestore = 40 // Linux 5.9

var (
	// For whoever has CAP_SYS_ADMIN. There is no mount namespace: a command
	// with a copy of all mounts would keep busy each filesystem of this
	// machine that is unmounted while it runs.
	withPIDs = &containment{
		name:  "PID namespace",
		clone: unix.CLONE_NEWPID,
	}
	// For ordinary users. The capability has no power outside of the
	// namespace; it is for ns_last_pid in supervise.sh.
	withUser = &containment{
		name:    "user and PID namespace",
		clone:   unix.CLONE_NEWUSER | unix.CLONE_NEWPID,
		ambient: []uintptr{capCheckpointRestore},
	}
	// Where capset(2) is not permitted, as in the packaged service.
	withUserOnly = &containment{
		name:  "user and PID namespace (process numbers repeat)",
		clone: unix.CLONE_NEWUSER | unix.CLONE_NEWPID,
	}
	// Where the kernel, its settings or a container allow none of these. The
	// first process leads a process group, and the kernel kills a group at
	// once too, so that what keeps forking does not escape. But a process may
	// leave it, by setsid for example. To be the reaper of such processes
	// (PR_SET_CHILD_SUBREAPER) is something that only the whole server can be,
	// and nbdkit has other children.
	withGroup = &containment{
		name: "process group",
	}
)

func (c *containment) namespaced() bool { return c.clone != 0 }
func (c *containment) mapsUser() bool   { return c.clone&unix.CLONE_NEWUSER != 0 }

// mapOwnIDs gives process pid, in its new user namespace, this process's user
// and group, which is all that an ordinary user may map. It is done from here,
// and after exec, because a process that has changed its user, as under
// nbdkit -u, is not dumpable and root owns its files in /proc, until it execs.
func mapOwnIDs(pid int) error {
	for _, f := range []struct{ name, text string }{
		{"uid_map", fmt.Sprintf("%d %d 1\n", os.Geteuid(), os.Geteuid())},
		{"setgroups", "deny"},
		{"gid_map", fmt.Sprintf("%d %d 1\n", os.Getegid(), os.Getegid())},
	} {
		err := os.WriteFile(fmt.Sprintf("/proc/%d/%s", pid, f.name), []byte(f.text), 0)
		if err != nil {
			return fmt.Errorf("map user: %w", err)
		}
	}
	return nil
}
