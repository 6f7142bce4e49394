// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package supply

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// When a file that a parameter names has changed, no client gets a disk of the
// old content: neither a spare one nor one that somebody has returned.
func TestDisksAfterTheBaseHasChanged(t *testing.T) {
	const spares = 3
	base := filepath.Join(t.TempDir(), "base.img")
	write := func(text string) {
		t.Helper()
		testkit.Must(t, os.WriteFile(base, []byte(text), 0o600))
	}
	write("old")
	var made atomic.Int32
	s := supplyIn(t, t.TempDir(), func(o *Options) {
		o.Debug = func(line string) {
			if strings.HasPrefix(line, "disk made ") {
				made.Add(1)
			}
		}
	},
		"size", "0", "spare-disks", "3", "image", base, "template-dir", t.TempDir(), "command", `cp "$image" "$disk"`)
	s.Start()
	testkit.WaitFor(t, "the spare disks", func() bool { return made.Load() >= spares })
	// All of the shelf's, and one more that is made for a client.
	var opened []*Fresh
	for range spares + 1 {
		d, err := s.Take(context.Background(), 0)
		testkit.Must(t, err)
		opened = append(opened, d)
	}
	testkit.WaitFor(t, "their replacements", func() bool { return made.Load() >= 2*spares })
	s.Return(opened[0])
	write("newer")
	for _, d := range opened[1:] {
		s.Return(d)
	}
	for i := range 2*spares + 2 {
		d, err := s.Take(context.Background(), 0)
		testkit.Must(t, err)
		got := make([]byte, 3)
		if err := d.PRead(got, 0); err != nil || string(got) != "new" {
			t.Errorf("client %d: got %q, %v, want new", i, got, err)
		}
		defer s.Return(d)
	}
}
