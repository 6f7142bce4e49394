// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/overlay"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// With session-sync, what connected clients have not flushed is there when the server has
// been stopped and then the machine started again, whatever their disks stand on.
func TestStopWhileConnected(t *testing.T) {
	for name, onBase := range map[string]bool{"on a base": true, "plain": false} {
		t.Run(name, func(t *testing.T) {
			o, _ := options(t)
			o.Sync = true
			s := started(t, o)
			path, want := image(t, o.Path)
			make := over(path, o.Path)
			if !onBase {
				make, want = kit.Blank(o.Path, kit.Size), bytes.Repeat([]byte{0}, len(want))
			}
			c, err := opens(t, s, make)
			testkit.Must(t, err)
			testkit.Must(t, c.PWrite([]byte("not flushed"), 5000, false))
			copy(want[5000:], "not flushed")
			s.Stop()
			dies(s) // nbdkit does not close what is connected
			o.Boot = "another-boot"
			s = started(t, o)
			c, err = opens(t, s, nil)
			testkit.Must(t, err)
			wantBytes(t, c, want)
			s.Close(c)
		})
	}
}

// unsynced is a disk on a base whose filesystem fails.
type unsynced struct{ *overlay.Disk }

func (unsynced) Sync() error { return unix.EIO }

// A disk that lacks data is not given back by the next server.
func TestStopWhileTheFilesystemFails(t *testing.T) {
	o, _ := options(t)
	o.Sync = true
	s := started(t, o)
	path, _ := image(t, o.Path)
	c, err := opens(t, s, over(path, o.Path))
	testkit.Must(t, err)
	testkit.Must(t, c.PWrite([]byte("not flushed"), 5000, false))
	d := c.session.claim.Disk.(*overlay.Disk)
	c.session.claim.Disk = unsynced{d}
	s.Stop()
	dies(s)
	wantLost(t, started(t, o), keep.Failed, keyA)
}

// Clients may leave, and their sessions begin, while the server stops.
func TestStopWhileClientsLeave(t *testing.T) {
	o, _ := options(t)
	o.Sync = true
	path, want := image(t, o.Path)
	copy(want[5000:], "not flushed")
	for i := range 20 {
		s := started(t, o)
		make := over(path, o.Path)
		if i > 0 {
			make = none
		}
		c, err := opens(t, s, make)
		testkit.Must(t, err)
		if i == 0 {
			testkit.Must(t, c.PWrite([]byte("not flushed"), 5000, false))
		}
		wantBytes(t, c, want)
		var all sync.WaitGroup
		spawn(&all, func() { s.Close(c) })
		spawn(&all, func() {
			if c, err := s.Open(context.Background(), keyB, "export", minute, over(path, o.Path)); err == nil {
				s.Close(c)
			}
		})
		s.Stop()
		all.Wait()
		wantClosed(t, s)
	}
}

// A disk whose flush failed is not given back, however its server ends.
func TestFlushThatFailsIsNoted(t *testing.T) {
	for name, end := range map[string]func(*Sessions){"stopped": (*Sessions).Stop, "killed": func(*Sessions) {}} {
		t.Run(name, func(t *testing.T) {
			o, _ := options(t)
			o.Sync = true
			s := started(t, o)
			d := watch(t, s)
			c := openAs(t, s, keyA, "export", minute, fresh(d))
			put(t, c, 1, 1, 0)
			d.syncErr = unix.EIO
			if err := c.Flush(); err == nil {
				t.Error("the flush succeeds")
			}
			end(s)
			dies(s)
			wantLost(t, started(t, o), keep.Failed, keyA)
		})
	}
}
