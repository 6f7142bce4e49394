// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package command

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Every mkfs ends with fsync, and most call it more than once: on a spinning
// disk that is most of the time that a client waits. It is for nothing here,
// because the disk dies with its client or with this machine. So mkfs runs
// under a seccomp filter that answers these calls with 0 at once.
//
// Other commands are not treated so: they may well have something else to sync.
var syncCalls = []uint32{
	unix.SYS_FSYNC,
	unix.SYS_FDATASYNC,
	unix.SYS_SYNC,
	unix.SYS_SYNCFS,
	unix.SYS_SYNC_FILE_RANGE,
}

// auditArch is how the kernel names the architecture that a system call is
// made for; a number means another call on another one.
var auditArch = map[string]uint32{
	"amd64":   unix.AUDIT_ARCH_X86_64,
	"arm64":   unix.AUDIT_ARCH_AARCH64,
	"ppc64le": unix.AUDIT_ARCH_PPC64LE,
	"riscv64": unix.AUDIT_ARCH_RISCV64,
	"s390x":   unix.AUDIT_ARCH_S390X,
}

// Offsets in the kernel's struct seccomp_data.
const (
	seccompNr   = 0
	seccompArch = 4
)

// noSyncFilter is the filter as a classic BPF program. arch is from auditArch.
func noSyncFilter(arch uint32) []unix.SockFilter {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	jumpIfEqual := func(k uint32, yes, no int) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: k, Jt: uint8(yes), Jf: uint8(no)}
	}
	answer := func(k uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: k}
	}
	n := len(syncCalls)
	program := []unix.SockFilter{
		load(seccompArch),
		jumpIfEqual(arch, 0, n+1), // else to "allow"
		load(seccompNr),
	}
	for i, call := range syncCalls {
		program = append(program, jumpIfEqual(call, n-i, 0)) // to "errno 0"
	}
	return append(program,
		answer(unix.SECCOMP_RET_ALLOW),
		answer(unix.SECCOMP_RET_ERRNO))
}

// installNoSync puts the calling OS thread, and whatever it forks from now on,
// under the filter for good. The goroutine must be locked to the thread. The
// thread can also gain no privileges by exec any more, even if there is no
// filter.
func installNoSync() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("seccomp: no_new_privs: %w", err)
	}
	arch, ok := auditArch[runtime.GOARCH]
	if !ok {
		return fmt.Errorf("seccomp: %s: %w", runtime.GOARCH, errors.ErrUnsupported)
	}
	program := noSyncFilter(arch)
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	_, _, errno := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&fprog)))
	runtime.KeepAlive(program)
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	return nil
}
