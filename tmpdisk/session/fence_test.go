// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"errors"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
)

// requests are one of each kind.
func requests(c *Conn) map[string]error {
	return map[string]error{
		"read":    c.PRead(make([]byte, kit.BlockSize), 0),
		"write":   c.PWrite(kit.Block(99, 0), 0, false),
		"trim":    c.Trim(1, false),
		"zero":    c.Zero(1, 0, false),
		"flush":   c.Flush(),
		"extents": c.Extents(),
		"cache":   c.Do(disk.Request{Op: disk.Cache, Count: 1}),
	}
}

// wantFenced fails the test unless c is, and its caller can tell.
func wantFenced(t *testing.T, c *Conn) {
	t.Helper()
	wantRefused(t, c, ErrFenced)
	if !c.Fenced() {
		t.Error("a fenced connection does not say so")
	}
}

// wantCut fails the test unless the disk of c has failed, which is no fencing.
func wantCut(t *testing.T, c *Conn) {
	t.Helper()
	eventually(t, "the cut", c.gate.Shut)
	wantRefused(t, c, errBroken)
	if c.Fenced() {
		t.Error("a connection whose disk has failed says that it is fenced")
	}
}

func wantRefused(t *testing.T, c *Conn, want error) {
	t.Helper()
	for what, err := range requests(c) {
		if !errors.Is(err, want) || !errors.Is(err, unix.ESHUTDOWN) {
			t.Errorf("%s on a connection that is shut: got %v, want %v", what, err, want)
		}
	}
	word, read, write := c.Gate()
	if word.Load()&(read|write) != 0 {
		t.Error("the gate of a connection that is shut lets requests in")
	}
}

// None of 64 requests in progress may end after the newcomer's has begun.
func TestFenceWaitsForRequestsInProgress(t *testing.T) {
	const old, newcomer, depth = 1, 2, 64
	s, _ := server(t)
	d := watch(t, s)
	d.journal.hold = make(chan struct{})
	a := openAs(t, s, keyA, "", minute, fresh(d))
	var done sync.WaitGroup
	write := func(c *Conn, conn int) {
		for i := range depth {
			spawn(&done, func() {
				if err := c.PWrite(kit.Block(conn, i), uint64(i*kit.BlockSize), false); err != nil {
					t.Errorf("connection %d: %v", conn, err)
				}
			})
		}
	}
	write(a, old)
	eventually(t, "64 writes", func() bool { return len(d.journal.events()) == depth })

	b := resume(t, s, keyA)
	for what, c := range map[string]*Conn{"older": a, "newcomer": b} {
		if err := errors.Join(c.PRead(make([]byte, kit.BlockSize), 0), c.Flush()); err != nil {
			t.Errorf("%s, before anything was written: %v", what, err)
		}
	}
	write(b, newcomer)
	eventually(t, "the fence", a.gate.Shut)
	wantFenced(t, a)
	time.Sleep(20 * time.Millisecond) // for a newcomer that does not wait
	if got := len(d.journal.events()); got != depth {
		t.Errorf("got %d writes of the newcomer before the older ones have ended", got-depth)
	}
	close(d.journal.hold)
	done.Wait()
	wantOrder(t, d.journal.events())
	for i := range depth {
		wantBlock(t, b, newcomer, i, i)
	}
	s.Close(a)
	s.Close(b)
}

func TestFenceOfThree(t *testing.T) {
	tests := []struct {
		name   string
		writes []int // who writes, in this order
		fenced []int // who is cut off then
	}{
		{"nobody writes", nil, nil},
		{"the first", []int{0}, nil},
		{"the second", []int{1}, []int{0}},
		{"the third", []int{2}, []int{0, 1}},
		{"one after the other", []int{0, 1, 2}, []int{0, 1}},
		{"the same again", []int{1, 1}, []int{0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := server(t)
			d := watch(t, s)
			conns := []*Conn{openAs(t, s, keyA, "", minute, fresh(d)), resume(t, s, keyA), resume(t, s, keyA)}
			for _, i := range tt.writes {
				put(t, conns[i], i, 1, 0)
			}
			fenced := map[int]bool{}
			for _, i := range tt.fenced {
				fenced[i] = true
				wantFenced(t, conns[i])
			}
			for i, c := range conns {
				if err := c.PRead(make([]byte, kit.BlockSize), 0); !fenced[i] && err != nil {
					t.Errorf("connection %d reads: %v", i, err)
				}
				if c.Fenced() != fenced[i] {
					t.Errorf("connection %d: got fenced %v, want %v", i, c.Fenced(), fenced[i])
				}
			}
			wantOrder(t, d.journal.events())
			for _, c := range conns {
				s.Close(c)
			}
			c := resume(t, s, keyA)
			put(t, c, 9, 9, 9)
			s.Close(c)
		})
	}
}

// A fenced connection that stays holds nothing up, and does not come back.
func TestFencedStaysFenced(t *testing.T) {
	s, _ := server(t)
	a, b := begin(t, s, keyA), resume(t, s, keyA)
	put(t, b, 2, 1, 0)
	s.Close(b)
	wantFenced(t, a)
	c := resume(t, s, keyA)
	put(t, c, 3, 1, 0)
	wantFenced(t, a)
	s.Close(c)
	s.Close(a)
	s.Close(a) // harmless
	wantFenced(t, a)
	wantRefused(t, c, ErrFenced) // it is only closed
	if c.Fenced() {
		t.Error("a closed connection says that it is fenced")
	}
	wantBlock(t, resume(t, s, keyA), 3, 1, 0)
}

// A fenced connection is one, even if the disk fails after that.
func TestFencedBeforeTheDiskFailed(t *testing.T) {
	s, _ := server(t)
	a, b := begin(t, s, keyA), resume(t, s, keyA)
	put(t, b, 2, 1, 0)
	b.session.fail(unix.EIO)
	wantCut(t, b)
	wantFenced(t, a)
	s.Close(a)
	s.Close(b)
}

// A request that comes just when it is fenced is refused as any later one is.
func TestFencedWhileAsking(t *testing.T) {
	s, _ := server(t)
	for range 200 {
		a, b := begin(t, s, keyA), resume(t, s, keyA)
		var all sync.WaitGroup
		spawn(&all, func() {
			for refused := false; !refused; {
				for what, err := range requests(a) {
					if err != nil && (!errors.Is(err, ErrFenced) || !a.Fenced()) {
						t.Errorf("%s: got %v, fenced %v, want ErrFenced", what, err, a.Fenced())
					}
					refused = refused || err != nil
				}
			}
		})
		put(t, b, 100, 1, 0)
		all.Wait()
		s.Close(a)
		s.Close(b)
	}
}
