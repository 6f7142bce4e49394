// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package files

import (
	"errors"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// bootIn has the boot ID in another file until the test is over.
func bootIn(t *testing.T, path string) {
	old := bootFile
	bootFile = path
	t.Cleanup(func() { bootFile = old })
}

// A server that can do without the boot ID does not know whether the machine has crashed:
// it neither serves nor removes what another has not synced, and goes on with the rest.
func TestWithoutBootID(t *testing.T) {
	o := options(t)
	waits(t, begun(t, o), o, kit.A)
	o.Sync = true
	waits(t, begun(t, o), o, kit.B)

	bootIn(t, "/missing")
	o.Boot = ""
	d := begun(t, o)
	wantDisk(t, d, kit.B)
	_, err := d.Resume(ctx, kit.A, true)
	if errors.As(err, new(*keep.LostError)) {
		t.Errorf("got %v, want it to be neither lost nor served", err)
	}
	testkit.Contains(t, err, "/missing", "mount /proc")
	wantDisk(t, begun(t, o), kit.B) // it waits since another boot, or not

	o.Boot, o.Sync = "this-boot", false
	wantDisk(t, begun(t, o), kit.A)
}

// That the boot ID could not be read once does not mean that there is none.
func TestBootIDThatFails(t *testing.T) {
	for name, tt := range map[string]struct {
		sync bool
		path string
		ok   bool
	}{
		"none, sync":       {true, "/missing", true},
		"none":             {false, "/missing", false},
		"unreadable, sync": {true, "/", false},
		"unreadable":       {false, "/", false},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			o.AtStart, o.Boot, o.Sync = true, "", tt.sync
			bootIn(t, tt.path)
			d := New(o)
			if _, _, err := d.Look(nothing); (err == nil) != tt.ok {
				t.Errorf("got %v, want it to begin %v", err, tt.ok)
			}
		})
	}
}
