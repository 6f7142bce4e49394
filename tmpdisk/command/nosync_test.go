// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package command

import (
	"errors"
	"os/exec"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// fsync of what cannot be synced fails, unless it is not made at all.
func TestNoSync(t *testing.T) {
	const script = `dd if=/dev/null conv=fsync 2>/dev/null | cat; ` +
		`{ dd if=/dev/null conv=fsync 2>/dev/null || echo failed >&2; } | cat`
	type result struct {
		install, call error
		child         string
	}
	run := func(install bool) result {
		c := make(chan result)
		go func() {
			// Not unlocked: the thread ends with the goroutine.
			runtime.LockOSThread()
			var r result
			if install {
				r.install = installNoSync()
			}
			r.call = unix.Fsync(-1)
			out, err := exec.Command("/bin/sh", "-c", script).CombinedOutput()
			if err != nil {
				out = append(out, err.Error()...)
			}
			r.child = string(out)
			c <- r
		}()
		return <-c
	}

	r := run(true)
	if errors.Is(r.install, errors.ErrUnsupported) || errors.Is(r.install, unix.ENOSYS) {
		t.Skip(r.install)
	}
	if r.install != nil {
		t.Fatal(r.install)
	}
	if r.call != nil {
		t.Errorf("fsync(-1) under the filter: got %v, want nil", r.call)
	}
	if r.child != "" {
		t.Errorf("child under the filter: got %q, want its fsync to succeed", r.child)
	}

	r = run(false)
	if r.call != unix.EBADF {
		t.Errorf("fsync(-1) on another thread: got %v, want EBADF", r.call)
	}
	if r.child != "failed\n" {
		t.Errorf("child of another thread: got %q, want its fsync to fail", r.child)
	}
}
