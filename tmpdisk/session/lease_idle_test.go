// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"testing"
	"time"
)

// The disk of a client that modifies nothing for long is not dropped by a server
// that finds it without its lock.
func TestIdleServerKeepsItsLock(t *testing.T) {
	now, parent := newClock(), t.TempDir()
	o := leasedOptions(t, now, parent)
	a := started(t, o)
	c := open(t, a, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
	cutOff(t, c)
	b := started(t, o)
	for range 300 {
		now.pass(time.Second)
	}
	if err := c.PWrite(block(1, 2), 0, true); err != nil {
		t.Errorf("write: %v", err)
	}
	wantFiles(t, parent, diskOf(keyA), recordOf(keyA), lockName)
	a.Close(c)
	b.Stop()
}
