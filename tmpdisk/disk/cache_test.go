// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package disk

import (
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestCache(t *testing.T) {
	d := blankDisk(t, t.TempDir(), 5<<30)
	for _, c := range []struct {
		name       string
		count, off uint64
	}{
		{"nothing", 0, 0}, {"a byte", 1, 12345}, {"at the end", 4096, 5<<30 - 4096}, {"the largest count", 1<<32 - 1, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := d.Cache(uint32(c.count), c.off); err != nil {
				t.Error(err)
			}
		})
	}
}

// It is advice, so a descriptor that cannot take it is no error to a client.
func TestCacheIgnoresFailure(t *testing.T) {
	d := &Disk{fd: -1, size: 4096, debug: testkit.Debug(t)}
	if err := d.Cache(10, 0); err != nil {
		t.Errorf("got %v, want no error", err)
	}
}
