// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import "testing"

// Space is known of what waits, and whoever asks waits for no drop.
func TestSpace(t *testing.T) {
	keepers(t, func(t *testing.T, o Options, _ *clock, disk func() Disk) {
		s := started(t, o)
		want := func(when string, wantOK bool) {
			t.Helper()
			if got, ok := s.Space(keyA); ok != wantOK || ok && got == 0 {
				t.Errorf("%s: got %d bytes, %v, want %v", when, got, ok, wantOK)
			}
		}
		want("unknown", false)
		c := open(t, s, keyA, fresh(disk()))
		put(t, c, 1, 1, 0)
		want("connected", false)
		s.Close(c)
		want("waiting", true)
		s.Close(open(t, s, keyA, none))
		s.DropOldest()
		want("dropped", false)
		s.Stop()
		want("stopped", false)
	})
}

// slowDisk takes its time to go.
type slowDisk struct {
	*fakeDisk
	closing, end chan struct{}
}

func (d *slowDisk) Close() error {
	close(d.closing)
	<-d.end
	return d.fakeDisk.Close()
}

func TestSpaceDuringADrop(t *testing.T) {
	s := started(t, testOptions(t, nil))
	d := &slowDisk{newFake(), make(chan struct{}), make(chan struct{})}
	used(t, s, keyA, d, 1)
	used(t, s, keyB, newFake(), 1)
	dropped := make(chan struct{})
	go func() {
		defer close(dropped)
		s.DropOldest()
	}()
	<-d.closing
	if got, ok := s.Space(keyB); got != 64*blockSize || !ok {
		t.Errorf("another one: got %d, %v, want %d", got, ok, 64*blockSize)
	}
	if got, ok := s.Space(keyA); ok {
		t.Errorf("the one that goes: got %d, want none", got)
	}
	close(d.end)
	<-dropped
}
