// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package command

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// newSessionKeyring gives the calling thread, and what it forks from now on, an
// empty session keyring in place of the one that it had. Otherwise a command
// would have the server's, whoever it runs as: the right to use a keyring goes
// by having it and not only by its owner.
//
// Commands that run as the server does keep the server's keys, which may be
// what they open their files with.
func newSessionKeyring() error {
	_, err := unix.KeyctlInt(unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0)
	return keyringError(err)
}

// keyringError is nil if the command can reach no keyring either: the kernel
// has none, or the seccomp filter of a container, which the command is under as
// well, forbids them. Some filters say ENOSYS, others EPERM; the call itself
// says neither. Any other failure would leave the command the old keyring.
func keyringError(err error) error {
	switch {
	case err == nil, errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
		return nil
	case errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("new session keyring: %w: the limit on keys is reached (sysctl kernel.keys.root_maxkeys, root_maxbytes)", err)
	}
	return fmt.Errorf("new session keyring: %w", err)
}
