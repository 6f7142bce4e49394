// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestTellsHoles(t *testing.T) {
	cases := []struct {
		name string
		dir  func(testing.TB) string
		want bool
	}{
		{"tmpfs", func(t testing.TB) string { return testkit.Tmpfs(t, "1M") }, true},
		{"FUSE", func(t testing.TB) string { return testkit.FUSE(t) }, false},
		{"proc", func(t testing.TB) string { return "/proc" }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir, err := os.Open(c.dir(t))
			testkit.Must(t, err)
			defer dir.Close()
			fsType, err := FSTypeOf(int(dir.Fd()))
			if got := fsType.TellsHoles(); got != c.want || err != nil {
				t.Errorf("got %t (%v), want %t", got, err, c.want)
			}
		})
	}
}

// A descriptor that cannot be flushed shows what is.
func TestSettleHoles(t *testing.T) {
	cases := []struct {
		name string
		dir  func(testing.TB) string
		want error
	}{
		{"tmpfs", func(t testing.TB) string { return testkit.Tmpfs(t, "1M") }, nil},
		{"FUSE", func(t testing.TB) string { return testkit.FUSE(t) }, unix.EBADF},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			fd, err := unix.Open(c.dir(t), unix.O_PATH, 0)
			testkit.Must(t, err)
			defer unix.Close(fd)
			if err := SettleHoles(fd); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestNextData(t *testing.T) {
	const unit = 64 << 10 // no filesystem's block is larger
	f, err := os.Create(testkit.Tmpfs(t, "4M") + "/file")
	testkit.Must(t, err)
	defer f.Close()
	testkit.Must(t, f.Truncate(4*unit))
	if _, err := f.WriteAt(make([]byte, unit), unit); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ off, size, from, to int64 }{
		{0, 4 * unit, unit, 2 * unit},
		{unit + 1, 4 * unit, unit + 1, 2 * unit},
		{2 * unit, 4 * unit, 4 * unit, 4 * unit},
		{4 * unit, 4 * unit, 4 * unit, 4 * unit},
		{unit, unit + 5, unit, unit + 5},
	}
	for _, c := range cases {
		from, to, err := NextData(int(f.Fd()), c.off, c.size)
		if from != c.from || to != c.to || err != nil {
			t.Errorf("at %d of %d: got %d, %d, %v, want %d, %d", c.off, c.size, from, to, err, c.from, c.to)
		}
	}
}
