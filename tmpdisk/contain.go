// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
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
	// Flags of clone and of an unshare that follows it.
	clone, unshare uintptr
	// Capabilities within the new user namespace that survive exec.
	ambient []uintptr
	// No supervisor.
	alone bool
}

const capCheckpointRestore = 40 // Linux 5.9

var (
	// For who has CAP_SYS_ADMIN. The mount namespace is there because a
	// command that is killed between mount and umount cannot clean up.
	withMounts = &containment{
		name:    "PID and mount namespace",
		clone:   unix.CLONE_NEWPID,
		unshare: unix.CLONE_NEWNS,
	}
	// In a chroot, whose root is no mount point and cannot be made private.
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
	// For a script of our own that ends by exec of a program that forks
	// nothing, or waits for it: mkfs. The session is all there is to end,
	// and a server that is killed leaves what ends by itself in a moment.
	// Two processes fewer to start is a third of the time an mkfs takes.
	alone = &containment{name: "session", alone: true}

	// Where the kernel, its settings or a container allow none of these.
	// See contain_scan.go.
	withScan = &containment{
		name: "session and environment mark, found through /proc",
	}
)

func (c *containment) namespaced() bool { return c.clone != 0 }
func (c *containment) mapsUser() bool   { return c.clone&unix.CLONE_NEWUSER != 0 }

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
const supervisor = `read -r go <&3 || exit 125
exec 3<&-
echo "$go" 2>/dev/null >/proc/sys/kernel/ns_last_pid
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
	ways := []*containment{withMounts, withPIDs}
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

// process is a supervisor and what it has started.
type process struct {
	how    *containment
	cmd    *exec.Cmd
	mark   string        // withScan: what the environment of all of it has
	gate   *os.File      // withScan: open as long as this server lives
	exited chan struct{} // closed when the supervisor is a zombie
	reaped chan struct{} // closed when it is none any more; then:
	state  *os.ProcessState
}

// start starts the supervisor and through it the script. cmd has the
// directory, environment, credentials and standard error already.
func start(cmd *exec.Cmd, script *os.File, how *containment) (*process, error) {
	gateR, gateW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	defer gateR.Close()
	p := &process{how: how, cmd: cmd, gate: gateW, exited: make(chan struct{}), reaped: make(chan struct{})}
	text := supervisor
	switch {
	case how.alone:
		text = ". /dev/fd/4"
	case !how.namespaced():
		text = supervisorScan
		p.mark = newMark()
	}
	cmd.Path = "/bin/sh"
	cmd.Args = []string{"sh", "-c", text, "command"}
	cmd.ExtraFiles = []*os.File{gateR, script}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.SysProcAttr.Setsid = true
	cmd.SysProcAttr.Pdeathsig = unix.SIGKILL
	cmd.SysProcAttr.Cloneflags = how.clone
	cmd.SysProcAttr.Unshareflags = how.unshare
	cmd.SysProcAttr.AmbientCaps = how.ambient
	// In a new PID namespace Go's own check for a parent that died before
	// the parent death signal was set does nothing: it compares getppid,
	// which is 0 there, and the kill of itself that follows has no effect
	// on the first process of a namespace. The gate is the check.
	if how.alone {
		onQuietSpawner(func() { err = cmd.Start() })
	} else {
		onSpawner(func() { err = cmd.Start() })
	}
	if err != nil {
		gateW.Close()
		return nil, fmt.Errorf("start: %w", err)
	}
	pid := cmd.Process.Pid
	go func() {
		// It stays a zombie until end has looked for survivors, so that
		// its number, which is also that of the session, stays taken.
		waitZombie(pid)
		close(p.exited)
	}()
	if how.mapsUser() {
		err = mapOwnIDs(pid)
	}
	if err == nil && !how.alone {
		line := fmt.Sprintf("%d\n", pid-1)
		if !how.namespaced() {
			line = p.mark + "\n"
		}
		_, err = gateW.WriteString(line)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start: %w", err), p.end(killPatience))
	}
	if how.namespaced() || how.alone {
		gateW.Close() // the parent death signal does the rest
	}
	return p, nil
}

// end kills whatever is left of the command and waits until it is gone, for at
// most patience.
func (p *process) end(patience time.Duration) error {
	deadline := time.Now().Add(patience)
	var err error
	switch {
	case p.how.alone:
		unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL)
	case !p.how.namespaced():
		err = p.killByScan(deadline)
	}
	p.gate.Close()
	p.cmd.Process.Kill()
	go func() {
		<-p.exited
		p.cmd.Wait()
		p.state = p.cmd.ProcessState
		close(p.reaped)
	}()
	t := time.NewTimer(max(time.Until(deadline), time.Second))
	defer t.Stop()
	select {
	case <-p.reaped:
		return err
	case <-t.C:
		return errors.Join(err, fmt.Errorf("process %d: blocked in the kernel, still alive %v after it was killed", p.cmd.Process.Pid, patience))
	}
}

// status is how the supervisor ended; nil if end gave up waiting.
func (p *process) status() *os.ProcessState {
	select {
	case <-p.reaped:
		return p.state
	default:
		return nil
	}
}

// waitZombie returns when child pid has ended. For the first process of a
// PID namespace that is when all others in it are gone, too.
func waitZombie(pid int) {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return
		}
	}
}

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
		if f.name == "setgroups" && errors.Is(err, os.ErrNotExist) {
			err = nil // Linux before 3.19
		}
		if err != nil {
			return fmt.Errorf("map user: %w", err)
		}
	}
	return nil
}

// cleanShellMessages takes out what only says how the script was handed over.
func cleanShellMessages(text string) string {
	return strings.ReplaceAll(text, "/dev/fd/4: ", "")
}
