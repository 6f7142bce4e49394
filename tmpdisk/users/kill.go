// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package users

import (
	"cmp"
	"fmt"
	"math"
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// killUID kills every process of user uid and waits until none is alive. It
// needs root.
//
// A loop over process numbers would race with a process that forks. kill(-1)
// does not: the kernel signals all processes that the caller may signal, in
// one go, and no fork slips through. So the caller must be someone who may
// signal those of uid and nobody else's. Permission goes by the sender's real
// and effective user and the receiver's real and saved one. Hence an effective
// user of uid; a real one, killer, that no process has; and no capabilities.
// The saved user is root, which is what makes it safe in the other direction:
// none of the three lets a process of uid signal this one.
//
// Linux keeps all this per thread, and only the C library makes it look like
// the process's. So a thread is changed with bare system calls, and thrown
// away. kill(-1) leaves out the whole process that the caller belongs to, and
// process 1.
//
// As with any change of user, the kernel then counts this process as not
// dumpable: it writes no core file from here on.
func killUID(uid, killer int, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		// First kill, then look: whoever looks can miss what forks.
		if err := killOnThread(uid, killer); err != nil {
			return err
		}
		alive, err := processesOf(uid)
		if err != nil || len(alive) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes, %s for one: still alive after they were killed", len(alive), alive[0])
		}
		time.Sleep(pause)
	}
}

func killOnThread(uid, killer int) (err error) {
	onThrowAwayThread(func() {
		if err = becomeKiller(uid, killer); err == nil {
			unix.Kill(-1, unix.SIGKILL) // the caller looks at what is left
		}
	})
	return err
}

// onThrowAwayThread runs f on an OS thread that runs nothing else afterwards.
func onThrowAwayThread(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Never unlocked: the runtime ends the thread, or parks it for
		// good, and makes no other thread from it.
		runtime.LockOSThread()
		if unix.Gettid() != unix.Getpid() {
			f()
			return
		}
		// The main thread cannot be thrown away, and its user is what
		// others take for the process's. Keep it busy meanwhile.
		onThrowAwayThread(f)
		runtime.UnlockOSThread()
	}()
	<-done
}

// becomeKiller changes the calling thread for good. It fails rather than leave
// a thread whose kill(-1) would reach anyone but uid's processes.
func becomeKiller(uid, killer int) error {
	if uid <= 0 || killer <= 0 || uid == killer {
		return fmt.Errorf("become user %d: %w", uid, unix.EINVAL)
	}
	_, _, errno := unix.RawSyscall(unix.SYS_SETRESUID, uintptr(killer), uintptr(uid), 0)
	if errno != 0 {
		return fmt.Errorf("become user %d: %w", uid, errno)
	}
	// Leaving root has emptied the effective set already, unless the
	// securebits say otherwise.
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capset(&head, &caps[0]); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	r, e, _ := unix.Getresuid()
	if r != killer || e != uid {
		return fmt.Errorf("become user %d: is %d and %d: %w", uid, r, e, unix.EPERM)
	}
	return nil
}

// killerUID is the real user of the thread that kills: one that has no process
// and no entry in the user database, and is not in p. 0 if there is none.
func (p *Pool) killerUID() int {
	p.once.Do(func() {
		highest := highestUID()
		for n := highest; n > 0 && n > highest-1000-len(p.all); n-- {
			if slices.ContainsFunc(p.all, func(u *User) bool { return u.UID == n }) {
				continue
			}
			_, unknown := user.LookupId(strconv.Itoa(n))
			if alive, err := processesOf(n); unknown != nil && err == nil && len(alive) == 0 {
				p.killer = n
				return
			}
		}
	})
	return p.killer
}

// processesOf lists the living processes whose real, effective or saved user
// is uid, by their directories in /proc.
func processesOf(uid int) ([]string, error) {
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil || len(all) == 0 { // not even this one
		return nil, fmt.Errorf("look for processes: /proc: %w", cmp.Or(err, error(unix.ENOENT)))
	}
	return slices.DeleteFunc(all, func(dir string) bool {
		status, err := os.ReadFile(dir + "/status")
		return err != nil || !livesAs(uid, string(status)) // an error means that it has just ended
	}), nil
}

// livesAs is whether a status, as /proc has it, is of a living process of user
// uid. A process whose first thread has ended looks like a zombie while its other
// threads go on.
func livesAs(uid int, status string) bool {
	ids := strings.Fields(statusField(status, "Uid"))
	state, threads := statusField(status, "State"), statusField(status, "Threads")
	zombie := strings.HasPrefix(state, "Z") || strings.HasPrefix(state, "X")
	ended := zombie && (threads == "0" || threads == "1")
	return slices.Contains(ids[:min(3, len(ids))], strconv.Itoa(uid)) && !ended
}

// statusField returns the rest of a line of a status. Newlines in the process's
// name, which is the first line, are written as \n there.
func statusField(status, name string) string {
	_, rest, _ := strings.Cut(status, "\n"+name+":\t")
	line, _, _ := strings.Cut(rest, "\n")
	return line
}

// highestUID is the largest user number to try, 0 if it is not known. Near 2^31
// systemd's conventions have none assigned; a container may have far fewer.
func highestUID() int {
	data, _ := os.ReadFile("/proc/self/uid_map")
	top := 0
	for line := range slices.Chunk(strings.Fields(string(data)), 3) {
		first, _ := strconv.Atoi(line[0])
		count, _ := strconv.Atoi(line[2])
		top = max(top, first+count-1)
	}
	return min(top, math.MaxInt32-1)
}
