// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package command

import (
	_ "embed"
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// How a Command gets to /bin/sh: Setup is the file on descriptor 4, Script the
// one on 5, and the shell reads both when the gate, descriptor 3, has been
// opened. See supervise.go. They are opened through /proc: in a chroot or a
// container /dev/fd may be missing, which is a link to there.

//go:embed supervise.sh
var superviseFile string

//go:embed group.sh
var groupFile string

var (
	superviseText = withoutHeader(superviseFile)
	groupText     = withoutHeader(groupFile)
)

// The two files keep their descriptors from what the script starts: each closes
// its own, in front of its first line, so that line numbers stay what they are.
const (
	closeSetup = "exec 4<&-; "
	closeText  = "exec 5<&-; "
)

// files returns Setup and Script as the shell reads them. The caller must close
// both.
func (c *Command) files() (setup, script *os.File, err error) {
	if setup, err = scriptFile(closeSetup + c.Setup); err != nil {
		return nil, nil, err
	}
	if script, err = scriptFile(closeText + c.Script); err != nil {
		setup.Close()
		return nil, nil, err
	}
	return setup, script, nil
}

// withoutHeader cuts off the comment at the beginning, which ends at an empty
// line: ps shows the text.
func withoutHeader(file string) string {
	_, text, _ := strings.Cut(file, "\n\n")
	return text
}

// scriptFile returns an open file, unnamed and in memory, that holds text. An
// argument of a program could not be longer than 128 KiB.
func scriptFile(text string) (*os.File, error) {
	fd, err := unix.MemfdCreate("command", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		// Linux before 6.3. Later ones may insist on the flag
		// (sysctl vm.memfd_noexec).
		fd, err = unix.MemfdCreate("command", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), "command")
	// The shell opens it anew, and so reads it from the start.
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// handedOver takes out of the shell's messages what only says how the script was
// handed over.
var handedOver = strings.NewReplacer("/proc/self/fd/4: ", "", "/proc/self/fd/5: ", "", closeText, "")
