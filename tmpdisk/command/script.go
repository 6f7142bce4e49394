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

// How a script gets to /bin/sh: as the file on descriptor 4, which the first
// shell reads when the gate, descriptor 3, has been opened. See supervise.go.

//go:embed supervise.sh
var superviseFile string

//go:embed watch.sh
var watchFile string

var (
	superviseText = withoutHeader(superviseFile)
	watchText     = withoutHeader(watchFile)
)

// oursText is for a Command that is Ours: the first process waits at the gate
// and then goes on with the script.
const oursText = "read -r go <&3 || exit 125\nexec 3<&-\n. /dev/fd/4"

// scriptPrologue keeps descriptor 4 from what the script starts. It goes in
// front of the first line, so that line numbers stay what they are.
const scriptPrologue = "exec 4<&-; "

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
	if _, err := f.WriteString(text); err != nil {
		f.Close()
		return nil, err
	}
	if _, err := f.Seek(0, 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// cleanShellMessages takes out what only says how the script was handed over.
func cleanShellMessages(text string) string {
	return strings.ReplaceAll(text, "/dev/fd/4: ", "")
}
