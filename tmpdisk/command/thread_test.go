// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package command

import (
	"errors"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

func TestNewSessionKeyring(t *testing.T) {
	session := func() int {
		id, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, true)
		if err != nil {
			t.Skip("needs keyrings: ", err)
		}
		return id
	}
	// Not unlocked: the thread ends with this test.
	runtime.LockOSThread()
	seen := map[int]bool{session(): true}
	for range 3 {
		if err := newSessionKeyring(); err != nil {
			t.Fatal(err)
		}
		if id := session(); seen[id] {
			t.Errorf("got keyring %d again, want a new one", id)
		} else {
			seen[id] = true
		}
	}
}

func TestKeyringError(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		fine bool
	}{
		{"none", nil, true},
		{"no keys in the kernel", unix.ENOSYS, true},
		{"a container's filter", unix.EPERM, true},
		{"quota", unix.EDQUOT, false},
		{"memory", unix.ENOMEM, false},
		{"security module", unix.EACCES, false},
	} {
		err := keyringError(test.err)
		if (err == nil) != test.fine || !test.fine && !errors.Is(err, test.err) {
			t.Errorf("%s: got %v, want success: %v", test.name, err, test.fine)
		}
	}
}
