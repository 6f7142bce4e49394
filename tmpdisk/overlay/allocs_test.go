// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

//go:build !race

package overlay

import (
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
)

func TestNoAllocations(t *testing.T) {
	path, _ := image(t, seeded(t), 1<<20)
	d := newDisk(t, openBase(t, path), 1<<20)
	if err := d.Keep(false); err != nil {
		t.Fatal(err)
	}
	buf, at := make([]byte, 100), uint64(0)
	for what, r := range map[string]disk.Request{
		"read": {Op: disk.Read, Buf: buf}, "write": {Op: disk.Write, Buf: buf}, "trim": {Op: disk.Trim, Count: Block},
	} {
		got := testing.AllocsPerRun(50, func() {
			r.Offset = at
			at += Block + 7
			if err := d.Do(r); err != nil {
				t.Fatal(err)
			}
		})
		if got != 0 {
			t.Errorf("%s: got %v allocations, want none", what, got)
		}
	}
}
