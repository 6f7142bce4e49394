// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"errors"
	"testing"
)

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
