// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"strings"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testconfig"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// Where an open file has a name, disks are served, and all is gone with them.
func TestMakeWhereOpenFilesAreHeld(t *testing.T) {
	cases := []struct {
		name  string
		pairs []string
	}{
		{"a command", []string{"size", "1M", "command", ":"}},
		{"a command that moves its disk", []string{"size", "1M", "command",
			`sub=${disk%/*}/sub; mkdir "$sub"; mv "$disk" "$sub/x"; ln -s sub/x "$disk"`}},
		{"cast", []string{"size", "1M", "type", "swap"}},
		{"cast from a file", []string{"size", "32M", "type", "swap"}},
	}
	testkit.Program(t, "mkswap", `for disk; do :; done; [ $(stat -c %s "$disk") -lt 3000000 ] ||
		head -c 20000000 /dev/urandom | dd of="$disk" bs=1M conv=notrunc status=none
		exec /usr/sbin/mkswap "$@"`)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			parent := testkit.FUSE(t)
			t.Setenv("TMPDIR", parent)
			host := &loggingHost{Host: testkit.Host{TB: t}, errors: make(chan string, 10)}
			s := NewServer(testconfig.Of(t, c.pairs...), host, "1")
			s.Start()
			var disks []*Connection
			for range 3 {
				d, err := open(s)
				testkit.Must(t, err)
				if err := d.PWrite([]byte("x"), 4000); err != nil {
					t.Error(err)
				}
				disks = append(disks, d)
			}
			for _, d := range disks {
				s.Close(d)
			}
			s.Stop()
			testkit.WantEmpty(t, parent)
			close(host.errors)
			var lines []string
			for line := range host.errors {
				lines = append(lines, line)
			}
			if len(lines) != 1 || !strings.Contains(lines[0], "TMPDIR "+parent) {
				t.Errorf("got log %q, want one line about TMPDIR", lines)
			}
		})
	}
}
