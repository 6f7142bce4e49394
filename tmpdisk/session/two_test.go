// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

// two are servers that share a directory.
func two(t testing.TB, now *clock, sync bool) (a, b *Sessions, parent string) {
	parent = t.TempDir()
	o := dirOptions(t, now, parent)
	o.Sync = sync
	return started(t, o), started(t, o), parent
}

func TestConnectedElsewhere(t *testing.T) {
	a, b, parent := two(t, nil, false)
	c := open(t, a, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := b.Open(ctx, keyA, "", minute, none); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, unix.ETIMEDOUT) {
		t.Errorf("a client that does not wait: got %v, want its timeout", err)
	}
	if _, err := b.Open(context.Background(), keyA, "", minute, none); !errors.Is(err, unix.EBUSY) {
		t.Errorf("got %v, want EBUSY", err)
	}
	put(t, c, 1, 2, 0)

	// The other one takes it as soon as it is free.
	taken := make(chan *Conn)
	go func() {
		c, err := b.Open(context.Background(), keyA, "", minute, none)
		if err != nil {
			t.Error(err)
		}
		taken <- c
	}()
	a.Close(c)
	if c = <-taken; c == nil {
		return
	}
	wantBlock(t, c, 1, 2, 0)
	if got := c.session.held.Generation; got != 2 {
		t.Errorf("got generation %d, want 2", got)
	}
	b.Close(c)
	c = open(t, a, keyA, none)
	if got := c.session.held.Generation; got != 3 {
		t.Errorf("got generation %d, want 3", got)
	}
	a.Close(c)
}

// What one drops, the other knows to be lost; what is connected there it does not
// drop.
func TestDropsOfTwo(t *testing.T) {
	now := newClock()
	a, b, parent := two(t, now, false)
	used(t, a, keyA, must(blank(t, parent, testSize)), 1)
	now.pass(time.Minute / 2)
	c := open(t, b, keyA, none)
	now.pass(time.Minute) // over for a
	wantBlock(t, c, 1, 1, 0)
	wantFiles(t, parent, diskOf(keyA), recordOf(keyA))
	b.Close(c)
	if _, ok := b.DropOldest(); !ok {
		t.Error("got nothing dropped")
	}
	wantLost(t, a, keyA, Evicted)
	wantFiles(t, parent, recordOf(keyA))
}

// The grace begins when a client leaves, whichever server it leaves.
func TestGraceOfTwo(t *testing.T) {
	now := newClock()
	a, b, parent := two(t, now, false)
	used(t, a, keyA, must(blank(t, parent, testSize)), 1)
	now.pass(time.Minute / 2)
	b.Close(open(t, b, keyA, none))
	now.pass(time.Minute / 2) // over for a
	wantFiles(t, parent, diskOf(keyA), recordOf(keyA))
	now.pass(time.Minute / 2) // and for b
	wantLost(t, a, keyA, Expired)
}

// One forgets no note that another has just made anew.
func TestForgetOfTwo(t *testing.T) {
	now := newClock()
	a, b, parent := two(t, now, false)
	used(t, a, keyA, must(blank(t, parent, testSize)), 1)
	a.DropOldest()
	now.pass(a.opts.Forget - time.Minute)
	usedAs(t, b, keyA, "export", freshMinute, must(blank(t, parent, testSize)), 2)
	b.DropOldest()
	now.pass(time.Minute) // a's time is over
	wantLost(t, a, keyA, Evicted)
	now.pass(a.opts.Forget)
	wantFiles(t, parent)
}

// An overtaken server cannot tell its client that anything is kept, and changes
// nothing of what is another's now.
func TestOvertaken(t *testing.T) {
	a, _, parent := two(t, nil, true)
	c := open(t, a, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	change(t, parent, keyA, func(r *record) { r.Generation++ })
	if err := c.Flush(); !errors.Is(err, errOvertaken) {
		t.Errorf("flush: got %v, want it overtaken", err)
	}
	eventually(t, "the cut", c.gate.shut)
	wantCut(t, c)
	c.session.fail(unix.EIO) // and another request finds something else
	if !c.session.overtaken.Load() {
		t.Error("a later failure hides that the session was overtaken")
	}
	a.Close(c)
	wantFiles(t, parent, diskOf(keyA), recordOf(keyA))
	c = open(t, a, keyA, none)
	wantBlock(t, c, 1, 1, 0)
	if got := c.session.held.Generation; got != 3 {
		t.Errorf("got generation %d, want 3", got)
	}
	a.Close(c)
}

// Without sync, an overtaken server at least leaves the record alone.
func TestOvertakenWithoutSync(t *testing.T) {
	a, _, parent := two(t, nil, false)
	c := open(t, a, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
	change(t, parent, keyA, func(r *record) { r.Generation, r.Host = 7, "other" })
	a.Close(c)
	change(t, parent, keyA, func(r *record) {
		if r.Generation != 7 || r.Host != "other" {
			t.Errorf("got record %+v, want the other server's", r)
		}
	})
}

// A disk that the filesystem failed is nobody's any more, unless another server
// has it.
func TestFailedDisk(t *testing.T) {
	for name, overtaken := range map[string]bool{"its own": false, "another's": true} {
		t.Run(name, func(t *testing.T) {
			a, b, parent := two(t, nil, true)
			c := open(t, a, keyA, blank(t, parent, testSize))
			put(t, c, 1, 1, 0)
			d := open(t, a, keyA, none)
			if overtaken {
				change(t, parent, keyA, func(r *record) { r.Generation++ })
			}
			c.session.fail(unix.EIO)
			for _, c := range []*Conn{c, d} {
				eventually(t, "the cut", c.gate.shut)
				wantCut(t, c)
			}
			if _, err := a.Open(context.Background(), keyA, "", minute, none); !errors.Is(err, unix.ESHUTDOWN) {
				t.Errorf("got %v, want ESHUTDOWN", err)
			}
			a.Close(c)
			a.Close(d)
			if !overtaken {
				wantLost(t, b, keyA, Failed)
				return
			}
			c = open(t, b, keyA, none)
			wantBlock(t, c, 1, 1, 0)
			b.Close(c)
		})
	}
}

// A server that looks for a session while another one makes it must not take the
// record for one whose disk is gone.
func TestRecordComesBeforeItsDiskIsSeen(t *testing.T) {
	a, b, parent := two(t, nil, false)
	c := open(t, a, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
	k := b.keeper.(*dir)
	if _, _, err := k.look(k.open, keyA, false); !errors.Is(err, errElsewhere) {
		t.Errorf("got %v, want it elsewhere", err)
	}
	wantFiles(t, parent, diskOf(keyA), recordOf(keyA))
	a.Close(c)
}

// While a fresh disk was being made, another server had the session and lost it.
func TestFreshComesTooLate(t *testing.T) {
	a, b, parent := two(t, nil, false)
	_, err := a.Open(context.Background(), keyA, "", minute, func(ctx context.Context) (Disk, error) {
		used(t, b, keyA, must(blank(t, parent, testSize)), 1)
		b.DropOldest()
		return blank(t, parent, testSize)(ctx)
	})
	if !errors.Is(err, unix.EBUSY) {
		t.Errorf("got %v, want EBUSY", err)
	}
	testkit.Contains(t, err, inParent(parent, recordOf(keyA)))
	wantLost(t, a, keyA, Evicted)
	if _, err := os.Stat(inParent(parent, diskOf(keyA))); err == nil {
		t.Error("the fresh disk is left")
	}
}

// A server that starts, and sweeps, disturbs nobody.
func TestSweepDisturbsNobody(t *testing.T) {
	a, b, parent := two(t, nil, false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 {
			c, err := a.Open(context.Background(), keyA, "", minute, blank(t, parent, testSize))
			if err == nil {
				err = c.PWrite(block(1, i), 0, false)
				a.Close(c)
			}
			if err != nil {
				t.Errorf("round %d: %v", i, err)
				return
			}
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			if _, _, err := b.keeper.begin(); err != nil {
				t.Error(err)
			}
		}
	}
	c := open(t, a, keyA, none)
	wantBlock(t, c, 1, 199, 0)
	a.Close(c)
}
