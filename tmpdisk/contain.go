// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// How a command is contained.
//
// The command runs in a PID namespace of its own. When the first process of
// a PID namespace ends, the kernel kills every other process in it, however it
// was forked and whatever it ignores, and no new one can be made: this is the
// only means Linux offers an ordinary user that a forking process cannot
// outrun. So ending a command is killing one process.
//
// That first process is a shell that does nothing but wait for the command
// (supervisor below). It is not the command itself, because the command may
// replace itself with a set-user-ID program, and the kernel then forgets the
// parent death signal, which is what ends the namespace when this server is
// killed; and because the first process of a namespace does not get the
// signals it sends itself, which a script must not notice.
type containment int

const (
	containNone containment = iota
	containPID              // CLONE_NEWPID, for who has CAP_SYS_ADMIN
	containUser             // CLONE_NEWUSER|CLONE_NEWPID, for ordinary users
)

// The supervisor waits at the gate, descriptor 3, for one line. The line comes
// after the parent death signal is set; the end of the file comes instead if
// the server died before that. The last line is not an idle one: a shell may
// replace itself with the last command of its script.
const supervisor = `read -r go <&3 || exit 125
exec 3<&-
/bin/sh -c '. /dev/fd/4' command
exit $?`

// The script is on descriptor 4, which the command must not inherit. This
// goes on its first line so that line numbers stay what they are.
const scriptPrologue = "exec 4<&-; "

// process is a started command.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	state  *os.ProcessState // once exited
	err    error            // of waiting, once exited
	how    containment
}

// spawner is a goroutine on an OS thread that never ends, for the parent death
// signal fires when the thread that forked dies, not the process. nbdkit's
// threads die with their connection.
var spawner = struct {
	once sync.Once
	work chan func()
}{work: make(chan func())}

func onSpawner(f func()) {
	spawner.once.Do(func() {
		go func() {
			runtime.LockOSThread()
			for f := range spawner.work {
				f()
			}
		}()
	})
	done := make(chan struct{})
	spawner.work <- func() { defer close(done); f() }
	<-done
}

// start starts the supervisor, with script, to run as who.
func start(cmd *exec.Cmd, script *os.File, as *identity) (*process, error) {
	gateR, gateW, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make pipe: %w", err)
	}
	defer gateR.Close()
	defer gateW.Close()
	how := contained()
	cmd.Args = []string{"sh", "-c", supervisor}
	cmd.ExtraFiles = []*os.File{gateR, script}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:    true,
		Pdeathsig: syscall.SIGKILL,
	}
	switch how {
	case containPID:
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWPID
	case containUser:
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWPID | unix.CLONE_NEWUSER
	}
	onSpawner(func() { err = cmd.Start() })
	if err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	p := &process{cmd: cmd, exited: make(chan struct{}), how: how}
	go func() {
		p.err = cmd.Wait()
		p.state = cmd.ProcessState
		close(p.exited)
	}()
	if how == containUser {
		err = mapOwnIDs(cmd.Process.Pid)
	}
	if err == nil {
		_, err = gateW.WriteString("\n")
	}
	if err != nil {
		p.end(killPatience)
		return nil, fmt.Errorf("start: %w", err)
	}
	return p, nil
}

// end kills whatever is left and waits until it is gone.
func (p *process) end(patience time.Duration) error {
	p.cmd.Process.Kill()
	select {
	case <-p.exited:
		return nil
	case <-time.After(patience):
		return fmt.Errorf("process %d is blocked in the kernel and still alive %v after it was killed", p.cmd.Process.Pid, patience)
	}
}

// mapOwnIDs gives process pid, in its new user namespace, this process's user
// and group, which is all that an ordinary user may map. It is done from here
// and after exec because a process that changed its user, as under nbdkit -u,
// counts as not dumpable and its /proc files belong to root; exec makes them
// its user's again.
func mapOwnIDs(pid int) error {
	for _, f := range []struct{ name, text string }{
		{"uid_map", fmt.Sprintf("%d %d 1\n", os.Geteuid(), os.Geteuid())},
		{"setgroups", "deny"},
		{"gid_map", fmt.Sprintf("%d %d 1\n", os.Getegid(), os.Getegid())},
	} {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/%s", pid, f.name), []byte(f.text), 0); err != nil {
			return fmt.Errorf("map user: %w", err)
		}
	}
	return nil
}

var contained = sync.OnceValue(func() containment {
	if os.Geteuid() == 0 {
		return containPID
	}
	return containUser
})
