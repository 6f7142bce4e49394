// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

// #include "shim.h"
import "C"

import (
	"errors"
	"fmt"
	"syscall"
)

// maxName is how long a name of Leave's may be, in bytes.
const maxName = 255

// Leave leaves the server a copy of the descriptor fd, under a name of 1 to 255 bytes, so
// that work on an open file need not be done twice. It is for ConfigComplete in the
// process that only checks the parameters ([Checking]). After an error, of which there
// being no room is one, the server does without: what the kernel has room for depends on
// its limits, and is about a hundred. It may be called from any number of goroutines.
func Leave(name string, fd int) error {
	if name == "" || len(name) > maxName {
		return fmt.Errorf("leave: a name of %d bytes: %w", len(name), syscall.EINVAL)
	}
	if !checking || C.gonbdkit_left[1] == -1 {
		return fmt.Errorf("leave: %w", ErrNoServer)
	}
	if err := syscall.Sendmsg(int(C.gonbdkit_left[1]), []byte(name), syscall.UnixRights(fd), nil, 0); err != nil {
		return fmt.Errorf("leave: %w", err)
	}
	return nil
}

// Left returns the descriptors that the check has left, by name. The caller closes them.
// It is for GetReady and AfterFork; the second time there are none.
func Left() map[string]int {
	left := map[string]int{}
	for {
		name, fd, err := receive(int(C.gonbdkit_left[0]))
		if err != nil {
			return left
		}
		if last, ok := left[name]; ok {
			syscall.Close(last)
		}
		left[name] = fd
	}
}

// receive returns an error if there is nothing more.
func receive(socket int) (string, int, error) {
	name, rights := make([]byte, maxName), make([]byte, syscall.CmsgSpace(4))
	n, oob, _, _, err := syscall.Recvmsg(socket, name, rights, syscall.MSG_CMSG_CLOEXEC)
	if err != nil {
		return "", -1, err
	}
	messages, err := syscall.ParseSocketControlMessage(rights[:oob])
	if err != nil || len(messages) != 1 {
		return "", -1, errors.Join(err, syscall.EPROTO)
	}
	fds, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return "", -1, errors.Join(err, syscall.EPROTO)
	}
	return string(name[:n]), fds[0], nil
}

// closeLeft closes what nobody has asked for.
func closeLeft() {
	for i := range C.gonbdkit_left {
		if fd := C.gonbdkit_left[i]; fd != -1 {
			syscall.Close(int(fd))
			C.gonbdkit_left[i] = -1
		}
	}
}
