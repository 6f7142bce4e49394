// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ProcID is a process and not merely its number, which may be used again.
type ProcID struct {
	PID   int
	Start uint64 // clock ticks since boot
}

// Stop makes a process stand still and, unless it is root's, unable to fork
// ever again. That it may be gone already is no error.
func (id ProcID) Stop() {
	if now, err := ReadStat(id.PID); err == nil && now.Start == id.Start {
		unix.Prlimit(id.PID, unix.RLIMIT_NPROC, &unix.Rlimit{}, nil)
	}
	id.Signal(unix.SIGSTOP)
}

func (id ProcID) Signal(sig unix.Signal) {
	fd, err := unix.PidfdOpen(id.PID, 0)
	if err == nil {
		defer unix.Close(fd)
	}
	now, statErr := ReadStat(id.PID)
	if statErr != nil || now.Start != id.Start {
		return
	}
	if err == nil {
		err = unix.PidfdSendSignal(fd, sig, nil, 0)
	}
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		unix.Kill(id.PID, sig) // Linux before 5.3, or a container's filter
	}
}

// ProcStat is what is needed of /proc/PID/stat.
type ProcStat struct {
	State           byte
	Parent, Session int
	Threads         int
	Start           uint64
}

// Dead is whether nothing of the process runs any more. One whose first thread
// has ended looks like a zombie while others go on.
func (st ProcStat) Dead() bool {
	return st.State == 'X' || st.State == 'Z' && st.Threads <= 1
}

// ReadEnviron returns the environment that a process began with; nil if it may
// not be read, or if the process is dead.
func ReadEnviron(pid int, st ProcStat) []byte {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	environ, _ := os.ReadFile(filepath.Join(dir, "environ"))
	if st.State != 'Z' {
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

func PIDs() ([]int, error) {
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

func ReadStat(pid int) (ProcStat, error) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return ProcStat{}, err
	}
	return ParseStat(string(data))
}

var errStat = errors.New("not understood")

// ParseStat starts after the name, which is in parentheses and may itself
// have parentheses and spaces.
func ParseStat(line string) (st ProcStat, err error) {
	_, after, ok := strings.Cut(line[max(strings.LastIndexByte(line, ')'), 0):], ") ")
	f := strings.Fields(after)
	if !ok || len(f) < 20 {
		return st, errStat
	}
	st.State = f[0][0]
	if st.Parent, err = strconv.Atoi(f[1]); err != nil {
		return st, errStat
	}
	if st.Session, err = strconv.Atoi(f[3]); err != nil {
		return st, errStat
	}
	if st.Threads, err = strconv.Atoi(f[17]); err != nil {
		return st, errStat
	}
	if st.Start, err = strconv.ParseUint(f[19], 10, 64); err != nil {
		return st, errStat
	}
	return st, nil
}
