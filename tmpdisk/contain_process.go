// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"

	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

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
		text = aloneText
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
	cmd.SysProcAttr.AmbientCaps = how.ambient
	// In a new PID namespace Go's own check for a parent that died before
	// the parent death signal was set does nothing: it compares getppid,
	// which is 0 there, and the kill of itself that follows has no effect
	// on the first process of a namespace. The gate is the check.
	switch {
	case how.alone:
		onQuietSpawner(func() { err = cmd.Start() })
	case cmd.SysProcAttr.Credential != nil:
		onModestSpawner(func() { err = cmd.Start() })
	default:
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
	if err == nil {
		line := fmt.Sprintf("%d\n", pid-1)
		if p.mark != "" {
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
	case p.how.namespaced():
	case p.how.alone:
		unix.Kill(-p.cmd.Process.Pid, unix.SIGKILL)
	default:
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
	sys.Retry(func() error {
		return unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
	})
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
