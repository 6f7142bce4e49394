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

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
)

// change rewrites the record of keyA as another server could.
func change(t testing.TB, s *Sessions, f func(*record.Record)) {
	t.Helper()
	kit.Change(t, s.opts.Path, keyA, f)
}

// overtake is what another server does that takes keyA.
func overtake(t testing.TB, s *Sessions) {
	t.Helper()
	change(t, s, func(r *record.Record) { r.Generation++ })
}

func wantGeneration(t testing.TB, s *Sessions, want uint64) {
	t.Helper()
	if got := kit.RecordIn(t, s.opts.Path, keyA).Generation; got != want {
		t.Errorf("got generation %d, want %d", got, want)
	}
}

func TestConnectedElsewhere(t *testing.T) {
	a, b, _ := two(t, false)
	c := written(t, a, keyA)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	if _, err := b.Open(ctx, keyA, "", minute, none); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, unix.ETIMEDOUT) {
		t.Errorf("a client that does not wait: got %v, want its timeout", err)
	}
	if err := refused(t, b, keyA); !errors.Is(err, unix.EBUSY) {
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
	wantGeneration(t, b, 2)
	b.Close(c)
	c = resume(t, a, keyA)
	wantGeneration(t, a, 3)
	a.Close(c)
}

// A server that starts while a client only probes a session at another one, which then
// discards it, does not know of a session that must not be forgotten.
func TestProbeElsewhere(t *testing.T) {
	for name, pass := range map[string]time.Duration{"at once": 0, "after a grace": minute.Grace, "after two": 2 * minute.Grace} {
		t.Run(name, func(t *testing.T) {
			o, now := options(t)
			a := started(t, o)
			c := begin(t, a, keyA)
			b := started(t, o)
			if pass > minute.Grace {
				now.Pass(minute.Grace) // finds the client there still
			}
			a.Close(c)
			now.Pass(pass)
			used(t, b, keyA)
			wantResumed(t, a, keyA)
		})
	}
}

// What one drops, the other knows to be lost; what is connected there it does not
// drop.
func TestDropsOfTwo(t *testing.T) {
	a, b, now := two(t, false)
	used(t, a, keyA)
	now.Pass(time.Minute / 2)
	c := resume(t, b, keyA)
	now.Pass(time.Minute) // over for a
	wantBlock(t, c, 1, 1, 0)
	wantDisks(t, a, keys{keyA})
	b.Close(c)
	if _, ok := b.DropOldest(0); !ok {
		t.Error("got nothing dropped")
	}
	wantLost(t, a, keep.Evicted, keyA)
	wantDisks(t, a, nil, keyA)
}

// The grace begins when a client leaves, whichever server it leaves.
func TestGraceOfTwo(t *testing.T) {
	a, b, now := two(t, false)
	used(t, a, keyA)
	now.Pass(time.Minute / 2)
	b.Close(resume(t, b, keyA))
	now.Pass(time.Minute / 2) // over for a
	wantDisks(t, a, keys{keyA})
	now.Pass(time.Minute / 2) // and for b
	wantLost(t, a, keep.Expired, keyA)
}

// A server whose exports are others, or that has none, removes no disk before the grace is
// over that it has with the server of its client.
func TestGraceOfAnotherConfiguration(t *testing.T) {
	const week = 7 * 24 * time.Hour
	for name, other := range map[string]time.Duration{
		"without export-dir: a short one":          minute.Grace,
		"with export-dir, for an unknown export":   24 * time.Hour,
		"with export-dir, for one without session": 0,
	} {
		for when, first := range map[string]bool{", which is there first": true, ", which comes later": false} {
			t.Run(name+when, func(t *testing.T) {
				o, now := options(t)
				o.Sync = true
				theirs := o
				theirs.Config = "other"
				o.Grace = func(string) time.Duration { return week }
				theirs.Grace = func(string) time.Duration { return other }
				a := started(t, o)
				b := started(t, theirs)
				restart := func() {
					dies(b)
					b = started(t, theirs)
				}
				if !first {
					dies(b)
				}
				usedAs(t, a, keyA, "export", Policy{Grace: week})
				c := openAs(t, a, keyB, "export", Policy{Grace: week}, blank(a))
				put(t, c, 1, 1, 0)
				if !first {
					b = started(t, theirs)
				}
				for range 6 {
					now.Pass(week / 7)
					wantDisks(t, a, keys{keyA, keyB})
					restart()
				}
				wantResumed(t, a, keyA)
				dies(a) // so b finds the other one without a server
				restart()
				for range 6 {
					now.Pass(week / 7)
					wantDisks(t, b, keys{keyA, keyB})
					restart()
				}
				now.Pass(2 * week)
				wantDisks(t, b, nil, keyA, keyB)
			})
		}
	}
}

// One forgets no note that another has just made anew.
func TestForgetOfTwo(t *testing.T) {
	a, b, now := two(t, false)
	drop := func(s *Sessions, policy Policy) {
		t.Helper()
		usedAs(t, s, keyA, "export", policy)
		if _, ok := s.DropOldest(0); !ok {
			t.Error("got nothing dropped")
		}
		path := kit.Path(s.opts.Path, kit.RecordOf(keyA))
		if err := os.Chtimes(path, now.Now(), now.Now()); err != nil {
			t.Fatal(err)
		}
	}
	drop(a, minute)
	now.Pass(forgetAfter - time.Minute)
	drop(b, freshMinute)
	now.Pass(time.Minute) // a's time is over
	wantLost(t, a, keep.Evicted, keyA)
	now.Pass(forgetAfter)
	wantDisks(t, a, nil)
}

// An overtaken server cannot tell its client that anything is kept, and changes
// nothing of what is another's now.
func TestOvertaken(t *testing.T) {
	a, _, _ := two(t, true)
	c := written(t, a, keyA)
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	overtake(t, a)
	if err := c.Flush(); !errors.Is(err, keep.ErrOvertaken) {
		t.Errorf("flush: got %v, want it overtaken", err)
	}
	wantCut(t, c)
	c.session.fail(unix.EIO) // and another request finds something else
	if !c.session.overtaken.Load() {
		t.Error("a later failure hides that the session was overtaken")
	}
	a.Close(c)
	wantDisks(t, a, keys{keyA})
	wantResumed(t, a, keyA)
	wantGeneration(t, a, 3)
}

// Without sync, an overtaken server at least leaves the record alone, and the disk, even
// if nobody used it here.
func TestOvertakenWithoutSync(t *testing.T) {
	for name, connect := range map[string]func(testing.TB, *Sessions, keep.Key) *Conn{"used": written, "untouched": begin} {
		t.Run(name, func(t *testing.T) {
			a, b, _ := two(t, false)
			c := connect(t, a, keyA)
			change(t, a, func(r *record.Record) { r.Generation, r.Host = 7, "other" })
			a.Close(c)
			if r := kit.RecordIn(t, a.opts.Path, keyA); r.Generation != 7 || r.Host != "other" {
				t.Errorf("got record %+v, want the other server's", r)
			}
			b.Close(resume(t, b, keyA))
		})
	}
}

// A disk that the filesystem failed is nobody's any more, unless another server
// has it.
func TestFailedDisk(t *testing.T) {
	for name, overtaken := range map[string]bool{"its own": false, "another's": true} {
		t.Run(name, func(t *testing.T) {
			a, b, _ := two(t, true)
			c := written(t, a, keyA)
			d := resume(t, a, keyA)
			if overtaken {
				overtake(t, a)
			}
			c.session.fail(unix.EIO)
			for _, c := range []*Conn{c, d} {
				wantCut(t, c)
			}
			if err := refused(t, a, keyA); !errors.Is(err, unix.ESHUTDOWN) {
				t.Errorf("got %v, want ESHUTDOWN", err)
			}
			a.Close(c)
			a.Close(d)
			if overtaken {
				wantResumed(t, b, keyA)
			} else {
				wantLost(t, b, keep.Failed, keyA)
			}
		})
	}
}

// While a fresh disk was being made, another server had the session and lost it.
func TestFreshComesTooLate(t *testing.T) {
	a, b, _ := two(t, false)
	_, err := a.Open(context.Background(), keyA, "", minute, func(ctx context.Context) (disk.Interface, error) {
		used(t, b, keyA)
		b.DropOldest(0)
		return blank(a)(ctx)
	})
	if !errors.Is(err, unix.EBUSY) {
		t.Errorf("got %v, want EBUSY", err)
	}
	testkit.Contains(t, err, kit.Path(a.opts.Path, kit.RecordOf(keyA)))
	wantLost(t, a, keep.Evicted, keyA)
	wantDisks(t, a, nil, keyA)
}

// A server that starts, and sweeps, disturbs nobody.
func TestSweepDisturbsNobody(t *testing.T) {
	a, b, _ := two(t, false)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 200 {
			c, err := a.Open(context.Background(), keyA, "", minute, blank(a))
			if err == nil {
				err = c.PWrite(kit.Block(1, i), 0, false)
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
			began := time.Now()
			if _, _, err := b.dir.Look(func(keep.Key, bool) bool { return false }); err != nil {
				t.Error(err)
			}
			// A client waits for the lock for two seconds, not while one sweep follows
			// the other on a machine that lets nobody run in between.
			time.Sleep(time.Since(began))
		}
	}
	c := resume(t, a, keyA)
	wantBlock(t, c, 1, 199, 0)
	a.Close(c)
}
