// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// procID is a process and not merely its number, which may be used again.
type procID struct {
	pid   int
	start uint64 // clock ticks since boot
}

// stop makes a process stand still and, unless it is root's, unable to fork
// ever again. That it may be gone already is no error.
func (id procID) stop() {
	if now, err := readStat(id.pid); err == nil && now.start == id.start {
		unix.Prlimit(id.pid, unix.RLIMIT_NPROC, &unix.Rlimit{}, nil)
	}
	id.signal(unix.SIGSTOP)
}

func (id procID) signal(sig unix.Signal) {
	fd, err := unix.PidfdOpen(id.pid, 0)
	if err == nil {
		defer unix.Close(fd)
	}
	now, statErr := readStat(id.pid)
	if statErr != nil || now.start != id.start {
		return
	}
	if err == nil {
		err = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		unix.Kill(id.pid, sig) // Linux before 5.3, or a container's filter
	}
}

// procStat is what is needed of /proc/PID/stat.
type procStat struct {
	state           byte
	parent, session int
	threads         int
	start           uint64
}

// dead is whether nothing of the process runs any more. One whose first thread
// has ended looks like a zombie while others go on.
func (st procStat) dead() bool {
	return st.state == 'X' || st.state == 'Z' && st.threads <= 1
}

// readEnviron returns the environment that a process began with; nil if it may
// not be read, or if the process is dead.
func readEnviron(pid int, st procStat) []byte {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
	if st.state != 'Z' {
		return environ
	}
	// The first thread has none any more.
	tasks, _ := filepath.Glob(filepath.Join(dir, "task", "*", "environ"))
	for _, name := range tasks {
		if environ, _ = os.ReadFile(name); len(environ) > 0 {
			return environ
		}
	}
	return nil
}

func procNumbers() ([]int, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("look for processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("look for processes: %w", err)
	}
	var pids []int
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

func readStat(pid int) (procStat, error) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return procStat{}, err
	}
	return parseStat(string(data))
}

var errStat = errors.New("not understood")

// parseStat starts after the name, which is in parentheses and may itself
// have parentheses and spaces.
func parseStat(line string) (st procStat, err error) {
	_, after, ok := strings.Cut(line[max(strings.LastIndexByte(line, ')'), 0):], ") ")
	f := strings.Fields(after)
	if !ok || len(f) < 20 {
		return st, errStat
	}
	st.state = f[0][0]
	if st.parent, err = strconv.Atoi(f[1]); err != nil {
		return st, errStat
	}
	if st.session, err = strconv.Atoi(f[3]); err != nil {
		return st, errStat
	}
	if st.threads, err = strconv.Atoi(f[17]); err != nil {
		return st, errStat
	}
	if st.start, err = strconv.ParseUint(f[19], 10, 64); err != nil {
		return st, errStat
	}
	return st, nil
}
