// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"
	"testing"
)

// countErrno is an error type of a plugin's own that wraps an errno by value.
type countErrno struct{ errno syscall.Errno }

func (e countErrno) Error() string { return "counted: " + e.errno.Error() }
func (e countErrno) Unwrap() error { return e.errno }

func TestErrnoOf(t *testing.T) {
	_, notThere := os.Open("/does/not/exist")
	tests := []struct {
		name string
		err  error
		want syscall.Errno
	}{
		{"plain", errors.New("no errno"), syscall.EIO},
		{"errno", syscall.ENOSPC, syscall.ENOSPC},
		{"zero errno", syscall.Errno(0), syscall.EIO},
		{"negative errno", ^syscall.Errno(0), syscall.EIO},
		{"no errno of any kernel", syscall.Errno(99999), syscall.EIO},
		{"wrapped", fmt.Errorf("write: disk: %w", syscall.ENOSPC), syscall.ENOSPC},
		{"wrapped twice", fmt.Errorf("a: %w", fmt.Errorf("b: %w", syscall.EROFS)), syscall.EROFS},
		{"flattened", fmt.Errorf("write: %v", syscall.ENOSPC), syscall.EIO},
		{"os.PathError", notThere, syscall.ENOENT},
		{"os.SyscallError", os.NewSyscallError("fsync", syscall.EDQUOT), syscall.EDQUOT},
		{"joined, first wins", errors.Join(syscall.ENOSPC, syscall.EBADF), syscall.ENOSPC},
		{"joined, errno second", errors.Join(errors.New("x"), syscall.EBADF), syscall.EBADF},
		{"own type", countErrno{syscall.EAGAIN}, syscall.EAGAIN},
		{"fs.ErrPermission alone", fs.ErrPermission, syscall.EIO},
		{"PluginError", PluginError{Errmsg: "full", Errno: syscall.ENOSPC}, syscall.ENOSPC},
		{"PluginError, pointer", &PluginError{Errmsg: "full", Errno: syscall.ENOSPC}, syscall.ENOSPC},
		{"PluginError without errno", PluginError{Errmsg: "odd"}, syscall.EIO},
		{"PluginError, wrapped", fmt.Errorf("x: %w", PluginError{Errno: syscall.EROFS}), syscall.EROFS},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, ok := errnoOf(test.err)
			if wantOK := test.want != syscall.EIO; got != test.want || ok != wantOK {
				t.Errorf("errnoOf(%v): got %v, %v, want %v, %v", test.err, got, ok, test.want, wantOK)
			}
		})
	}
}

func TestPluginErrorText(t *testing.T) {
	tests := []struct {
		err  PluginError
		want string
	}{
		{PluginError{Errmsg: "disk is full", Errno: syscall.ENOSPC}, "disk is full: no space left on device"},
		{PluginError{Errmsg: "odd"}, "odd"},
	}
	for _, test := range tests {
		if got := test.err.Error(); got != test.want {
			t.Errorf("Error of %#v: got %q, want %q", test.err, got, test.want)
		}
	}
}

func TestGuard(t *testing.T) {
	var nilError *PluginError
	tests := []struct {
		name string
		f    func() error
		want int
	}{
		{"success", func() error { return nil }, 0},
		{"error", func() error { return errors.New("x") }, -1},
		{"panic", func() error { panic("on purpose") }, -1},
		{"panic with an error", func() error { panic(errors.New("x")) }, -1},
		{"panic with nil", func() error { panic(nil) }, -1},
		{"index out of range", func() error { var b []byte; b[len(b)] = 1; return nil }, -1},
		{"nil dereference", func() error { var c *connection; return c.PRead(nil, 0, 0) }, -1},
		{"the error's text panics", func() error { return nilError }, -1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := guard("pread", test.f); got != test.want {
				t.Errorf("guard: got %d, want %d", got, test.want)
			}
		})
	}
}

func TestGuardValue(t *testing.T) {
	tests := []struct {
		name string
		f    func() (int64, error)
		want int64
	}{
		{"value", func() (int64, error) { return 42, nil }, 42},
		{"zero", func() (int64, error) { return 0, nil }, 0},
		{"negative", func() (int64, error) { return -2, nil }, -1},
		{"error", func() (int64, error) { return 42, errors.New("x") }, -1},
		{"panic", func() (int64, error) { panic("on purpose") }, -1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := guardValue("get_size", test.f); got != test.want {
				t.Errorf("guardValue: got %d, want %d", got, test.want)
			}
		})
	}
}

func TestGuardVoid(t *testing.T) {
	ran := false
	guardVoid("close", func() { ran = true; panic("on purpose") })
	if !ran {
		t.Error("guardVoid: got no call of the function, want one")
	}
}
