// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package files

import (
	"os"
	"testing"
	"time"

	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
)

// A disk without a good record is of an export that nobody knows, and not of that without
// a name.
func TestGraceOfWhatIsDamaged(t *testing.T) {
	for name, locked := range map[string]bool{"waiting": false, "elsewhere": true} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			o.Grace = func(export string) time.Duration { return map[string]time.Duration{Unknown: time.Hour}[export] }
			waits(t, begun(t, o), o, kit.A)
			if err := os.Truncate(kit.Path(o.Path, kit.RecordOf(kit.A)), 0); err != nil {
				t.Fatal(err)
			}
			if locked {
				unlock, _ := kit.Lock(t, kit.Path(o.Path, kit.DiskOf(kit.A)))
				defer unlock()
			}
			found, _, err := New(o).Look(nothing)
			if err != nil || len(found) != 1 || found[0].Grace != time.Hour || found[0].Here == locked {
				t.Errorf("got %+v, %v, want it found, with a grace of an hour", found, err)
			}
		})
	}
}
