// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"path/filepath"
	"testing"

	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// What is on the server's own disk at a moment is what a crash leaves: a copy of
// the disk is the machine after it.
func TestCrash(t *testing.T) {
	tests := []struct {
		name          string
		first, second bool // session-sync of two servers, one after the other
		lost          bool
	}{
		{"sync", true, true, false},
		{"sync comes later", false, true, false},
		{"sync is no longer asked for", true, false, true},
		{"no sync", false, false, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			image := kit.Image(t, "mkfs.ext4", "-qF")
			o, _ := options(t)
			o.Path, o.Sync = kit.Mount(t, "-o", "loop,commit=600", image), tt.first
			s := started(t, o)
			used(t, s, keyA)

			o.Sync = tt.second
			s = started(t, o)
			c := resume(t, s, keyA)
			put(t, c, 1, 2, 1)
			if err := c.Flush(); err != nil {
				t.Fatal(err)
			}
			crashed := filepath.Join(t.TempDir(), "crashed")
			kit.Run(t, "cp", "--sparse=always", image, crashed)
			s.Close(c)

			o.Path, o.Boot = kit.Mount(t, "-o", "loop,commit=600", crashed), "another-boot"
			s = started(t, o)
			if tt.lost {
				wantLost(t, s, keep.Crashed, keyA)
				return
			}
			c = resume(t, s, keyA)
			wantBlock(t, c, 1, 1, 0)
			wantBlock(t, c, 1, 2, 1)
			s.Close(c)
		})
	}
}
