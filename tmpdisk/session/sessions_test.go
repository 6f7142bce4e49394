// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

func TestGrace(t *testing.T) {
	s, now := server(t)
	used(t, s, keyA)
	for range 3 { // each time, grace begins anew
		now.Pass(time.Minute - 1)
		c := resume(t, s, keyA)
		now.Pass(time.Hour) // connected, it does not wait
		wantBlock(t, c, 1, 1, 0)
		s.Close(c)
	}
	now.Pass(time.Minute)
	wantDisks(t, s, nil, keyA)
	for range 2 { // asking changes nothing
		wantLost(t, s, keep.Expired, keyA)
		now.Pass(forgetAfter/2 - 1)
	}
	wantLost(t, s, keep.Expired, keyA)
	now.Pass(2)
	used(t, s, keyA) // forgotten
}

func TestFreshInPlaceOfLost(t *testing.T) {
	s, now := server(t)
	used(t, s, keyA)
	now.Pass(time.Minute)
	c := openAs(t, s, keyA, "export", freshMinute, blank(s))
	wantBlock(t, c, 0, 0, 0)
	put(t, c, 2, 1, 0)
	s.Close(c)
	c = resume(t, s, keyA)
	wantBlock(t, c, 2, 1, 0)
	now.Pass(2 * forgetAfter) // since the first was lost
	s.Close(c)
	now.Pass(time.Minute)
	wantLost(t, s, keep.Expired, keyA)
}

func TestMaxDropsTheOldest(t *testing.T) {
	o, now := options(t)
	o.Max = 2
	s := started(t, o)
	for _, key := range []keep.Key{keyA, keyB, keyA, keyC} { // keyA comes again, and is younger then
		used(t, s, key)
		now.Pass(time.Second)
	}
	wantDisks(t, s, keys{keyA, keyC}, keyB)
	wantLost(t, s, keep.Evicted, keyB)
	for i, want := range []bool{true, true, false} {
		if freed, got := s.DropOldest(0); got != want || (freed > 0) != want {
			t.Errorf("call %d: got %d bytes, %v, want %v", i, freed, got, want)
		}
	}
	wantLost(t, s, keep.Evicted, keyA, keyC)
}

func TestConnectedIsNotDropped(t *testing.T) {
	s, _ := server(t)
	c := written(t, s, keyA)
	if _, ok := s.DropOldest(0); ok {
		t.Error("a disk that does not wait was dropped")
	}
	s.Close(c)
	wantResumed(t, s, keyA)
}

func TestUntouchedLeavesNoSession(t *testing.T) {
	s, now := server(t)
	for range 3 {
		s.Close(begin(t, s, keyA))
		wantDisks(t, s, nil)
		now.Pass(time.Hour)
	}
	// It is only as good as new if no client ever used it.
	used(t, s, keyA)
	s.Close(resume(t, s, keyA))
	wantResumed(t, s, keyA)
}

// Whoever was told where the data is knows something of the disk.
func TestExtentsMakeASession(t *testing.T) {
	s, _ := server(t)
	c := begin(t, s, keyA)
	if err := c.Extents(); err != nil {
		t.Fatal(err)
	}
	s.Close(c)
	s.Close(resume(t, s, keyA))
}

func TestLimitOfLost(t *testing.T) {
	o, now := options(t)
	o.maxLost = 2
	s := started(t, o)
	for _, key := range []keep.Key{keyA, keyB, keyC} {
		used(t, s, key)
		s.DropOldest(0)
		now.Pass(time.Second)
	}
	wantLost(t, s, keep.Evicted, keyB, keyC)
	wantDisks(t, s, nil, keyB, keyC)
	used(t, s, keyA) // forgotten
}

func TestTogetherWaitForOneMaking(t *testing.T) {
	s, _ := server(t)
	var made atomic.Int32
	making := make(chan struct{})
	var all sync.WaitGroup
	for range 10 {
		spawn(&all, func() {
			c, err := s.Open(context.Background(), keyA, "", minute, func(ctx context.Context) (disk.Interface, error) {
				made.Add(1)
				<-making
				return blank(s)(ctx)
			})
			if err != nil {
				t.Error(err)
				return
			}
			if err := c.PRead(make([]byte, kit.BlockSize), 0); err != nil {
				t.Error(err)
			}
			s.Close(c)
		})
	}
	eventually(t, "the making", func() bool { return made.Load() == 1 })
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := s.Open(ctx, keyA, "", minute, none); !errors.Is(err, context.Canceled) {
		t.Errorf("whoever waits no longer: got %v, want context.Canceled", err)
	}
	close(making)
	all.Wait()
	if got := made.Load(); got != 1 {
		t.Errorf("got %d disks made, want 1", got)
	}
}

// The next one makes it if the first fails or leaves.
func TestMakerLeaves(t *testing.T) {
	s, _ := server(t)
	ctx, cancel := context.WithCancel(context.Background())
	making, first, second := make(chan struct{}), make(chan error), make(chan *Conn)
	go func() {
		_, err := s.Open(ctx, keyA, "", minute, func(ctx context.Context) (disk.Interface, error) {
			close(making)
			<-ctx.Done()
			return nil, ctx.Err()
		})
		first <- err
	}()
	<-making
	go func() {
		c, err := s.Open(context.Background(), keyA, "", minute, blank(s))
		if err != nil {
			t.Error(err)
		}
		second <- c
	}()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("the first: got %v, want context.Canceled", err)
	}
	if c := <-second; c != nil {
		put(t, c, 2, 1, 0)
		s.Close(c)
	}
}

// A maker that fails, or panics, leaves the session to the next client, as unknown as
// before.
func TestMakerFails(t *testing.T) {
	s, _ := server(t)
	func() {
		defer func() { recover() }()
		s.Open(context.Background(), keyA, "", minute, func(context.Context) (disk.Interface, error) { panic("the maker's") })
	}()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	_, err := s.Open(ctx, keyA, "", minute, func(context.Context) (disk.Interface, error) { return nil, unix.ENOSPC })
	if !errors.Is(err, unix.ENOSPC) {
		t.Errorf("got %v, want %v", err, unix.ENOSPC)
	}
	wantDisks(t, s, nil)
	used(t, s, keyA)
}

func TestOutlivesTheServer(t *testing.T) {
	for name, end := range map[string]func(*Sessions){"stopped": (*Sessions).Stop, "killed": dies} {
		t.Run(name, func(t *testing.T) {
			o, _ := options(t)
			s := started(t, o)
			c := written(t, s, keyA)
			if name == "stopped" {
				s.Close(c)
			}
			end(s)
			s = started(t, o)
			s.Close(resume(t, s, keyA)) // by a client that only looks
			c = resume(t, s, keyA)
			wantBlock(t, c, 1, 1, 0)
			if got := c.Size(); got != kit.Size {
				t.Errorf("got size %d, want %d", got, kit.Size)
			}
			if got := kit.RecordIn(t, o.Path, keyA).Generation; got != 3 {
				t.Errorf("got generation %d, want 3", got)
			}
			s.Close(c)
			s.Stop()
			wantDisks(t, s, keys{keyA})
		})
	}
}

// After the grace and the forgetting, nothing is left; by a server that starts as
// by one that runs.
func TestEmptyInTheEnd(t *testing.T) {
	for name, restart := range map[string]bool{"running": false, "started anew": true} {
		t.Run(name, func(t *testing.T) {
			o, now := options(t)
			s := started(t, o)
			used(t, s, keyA)
			s.Close(begin(t, s, keyB)) // untouched
			wantDisks(t, s, keys{keyA})
			for _, pass := range []struct {
				d     time.Duration
				notes []keep.Key
			}{{minute.Grace + 1, keys{keyA}}, {forgetAfter, nil}} {
				if restart {
					s.Stop()
				}
				now.Pass(pass.d)
				if restart {
					s = started(t, o)
					now.Pass(0)
				}
				wantDisks(t, s, nil, pass.notes...)
				wantLost(t, s, keep.Expired, pass.notes...)
			}
			used(t, s, keyA)
		})
	}
}

func TestAnotherBoot(t *testing.T) {
	tests := []struct {
		name             string
		before, now      bool // session-sync
		connected, fails bool
	}{
		{"without sync, connected", false, false, true, true},
		{"without sync, waiting", false, false, false, true},
		{"with sync, connected", true, true, true, false},
		{"with sync, waiting", true, true, false, false},
		{"sync comes too late", false, true, true, true},
		{"sync is no longer asked for", true, false, true, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o, _ := options(t)
			o.Sync = tt.before
			s := started(t, o)
			c := written(t, s, keyA)
			if !tt.connected {
				s.Close(c)
			}
			dies(s)
			o.Sync, o.Boot = tt.now, "another-boot"
			s = started(t, o)
			if tt.fails {
				wantLost(t, s, keep.Crashed, keyA)
				wantDisks(t, s, nil, keyA)
				return
			}
			c = resume(t, s, keyA)
			wantBlock(t, c, 1, 1, 0)
			if got := kit.RecordIn(t, o.Path, keyA).Sync; got != tt.now {
				t.Errorf("got sync %v in the record, want %v", got, tt.now)
			}
			s.Close(c)
		})
	}
}

// The token is a password, and the directory tells it to nobody.
func TestDirHidesTheToken(t *testing.T) {
	s, _ := server(t)
	used(t, s, keep.NewKey("export", "secret-token", "1.2.3.4"))
	dir := kit.Path(s.opts.Path, "")
	for _, name := range testkit.Names(t, dir) {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: got mode %v, %v, want 0600", name, info.Mode(), err)
		}
		if text, _ := os.ReadFile(filepath.Join(dir, name)); strings.Contains(name+string(text), "secret") {
			t.Errorf("%s tells the token", name)
		}
	}
}

// A server that stops leaves what waits to the next one, and its clients go on.
func TestStop(t *testing.T) {
	s, now := server(t)
	used(t, s, keyA)
	b := written(t, s, keyB)
	making, stopped := make(chan struct{}), make(chan struct{})
	opened := make(chan *Conn)
	go func() {
		c, err := s.Open(context.Background(), keyC, "", minute, func(ctx context.Context) (disk.Interface, error) {
			close(making)
			<-stopped
			return blank(s)(ctx)
		})
		if err != nil {
			t.Error(err)
		}
		opened <- c
	}()
	<-making
	s.Stop()
	close(stopped)
	put(t, b, 2, 2, 0)
	s.Close(b)
	if c := <-opened; c != nil {
		put(t, c, 3, 1, 0)
		s.Close(c)
	}
	wantClosed(t, s)
	if _, err := s.Open(context.Background(), keyA, "", minute, none); err == nil {
		t.Error("got a session from a stopped server")
	}
	now.Pass(time.Hour)
	if _, ok := s.DropOldest(0); ok {
		t.Error("a stopped server drops a disk")
	}
	s.Stop() // harmless
	wantDisks(t, s, keys{keyA, keyB, keyC})
}

// Space is known of what waits.
func TestSpace(t *testing.T) {
	s, _ := server(t)
	want := func(when string, wantOK bool) {
		t.Helper()
		if got, ok := s.Space(keyA); ok != wantOK || ok && got == 0 {
			t.Errorf("%s: got %d bytes, %v, want %v", when, got, ok, wantOK)
		}
	}
	want("unknown", false)
	c := written(t, s, keyA)
	want("connected", false)
	s.Close(c)
	want("waiting", true)
	s.Close(resume(t, s, keyA))
	s.DropOldest(0)
	want("dropped", false)
	s.Stop()
	want("stopped", false)
}

// Whoever asks waits for no drop.
func TestSpaceDuringADrop(t *testing.T) {
	o, _ := options(t)
	dropping, end, dropped := make(chan struct{}), make(chan struct{}), make(chan struct{})
	o.Debug = func(line string) {
		if strings.Contains(line, "dropped") {
			close(dropping)
			<-end
		}
	}
	s := started(t, o)
	used(t, s, keyA, keyB)
	go func() {
		defer close(dropped)
		s.DropOldest(0)
	}()
	<-dropping
	if got, ok := s.Space(keyB); got == 0 || !ok {
		t.Errorf("another one: got %d, %v, want some", got, ok)
	}
	if got, ok := s.Space(keyA); ok {
		t.Errorf("the one that goes: got %d, want none", got)
	}
	close(end)
	<-dropped
}
