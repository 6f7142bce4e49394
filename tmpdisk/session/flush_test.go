// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// A server that is short of descriptors fails the flush, and not the session;
// one whose filesystem failed does both.
func TestFlushThatFails(t *testing.T) {
	tests := []struct {
		name         string
		sync, newest error
		cut          bool
	}{
		{"nothing", nil, nil, false},
		{"no descriptor", nil, unix.EMFILE, false},
		{"no memory", nil, unix.ENOMEM, false},
		{"no record", nil, unix.ENOENT, true},
		{"record unreadable", nil, unix.EIO, true},
		{"overtaken", nil, errOvertaken, true},
		{"page not written", unix.EIO, nil, true},
		{"no room for a page", unix.ENOSPC, nil, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := testOptions(t, nil)
			o.Sync = true
			s := started(t, o)
			s.keeper = &overtaking{memory: newMemory(), err: tt.newest}
			d := newFake()
			d.syncErr = tt.sync
			c := open(t, s, keyA, fresh(d))
			for what, err := range map[string]error{"flush": c.Flush(), "write with FUA": c.PWrite(block(1, 1), 0, true)} {
				want := errors.Join(tt.sync, tt.newest)
				if (err == nil) != (want == nil) {
					t.Errorf("%s: got %v, want %v", what, err, want)
				}
			}
			if got := c.session.broken.Load(); got != tt.cut {
				t.Errorf("got the session cut off %v, want %v", got, tt.cut)
			}
			s.Close(c)
		})
	}
}

// overtaking is a keeper whose newest fails.
type overtaking struct {
	*memory
	err error
}

func (k *overtaking) newest(*held) error { return k.err }

// A flush while another server only looks at the disk does not end the session.
func TestFlushWhileAnotherLooks(t *testing.T) {
	now, parent := newClock(), t.TempDir()
	s := started(t, leasedOptions(t, now, parent))
	c := open(t, s, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
	cutOff(t, c)
	other := openFile(t, inParent(parent, diskOf(keyA)))
	if err := unix.Flock(other, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); !errors.Is(err, unix.EBUSY) {
		t.Errorf("while another looks: got %v, want EBUSY", err)
	}
	unix.Flock(other, unix.LOCK_UN)
	if err := c.Flush(); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	s.Close(c)
}
