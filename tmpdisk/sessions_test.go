// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestMaxWaiting(t *testing.T) {
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	for _, tt := range []struct {
		name  string
		c     config.Session
		limit uint64
		want  int
	}{
		{"few descriptors", config.Session{Max: 1000}, 100, 50},
		{"enough", config.Session{Max: 50}, 100, 50},
		{"in a directory", config.Session{Max: 1000, Dir: "/dir"}, 100, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: tt.limit, Max: old.Max}); err != nil {
				t.Fatal(err)
			}
			if got := maxWaiting(tt.c, testkit.Host{TB: t}); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
