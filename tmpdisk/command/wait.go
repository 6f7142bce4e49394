// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package command

import (
	"os"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

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
