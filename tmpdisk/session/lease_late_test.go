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

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Two servers that raise the same generation, because the lock of the first was
// lost before it had done so, are not taken for each other.
func TestSameGeneration(t *testing.T) {
	now, parent, a, b, c := twoLeased(t)
	a.Close(c)
	c = open(t, a, keyA, none)
	cutOff(t, c)
	change(t, parent, keyA, func(r *record) { r.Generation--; r.Connected = false })
	d := beginOpen(context.Background(), b).wait(t, now, nothing)
	put(t, d, 2, 1, 1)
	b.Close(d)
	if err := c.PWrite(block(9, 9), 0, true); !errors.Is(err, unix.ESHUTDOWN) {
		t.Errorf("flush: got %v, want ESHUTDOWN", err)
	}
	a.Close(c)
}

// A server whose own record came late does not modify what another took up before.
func TestFirstRequestLooks(t *testing.T) {
	now, parent, a, b, c := twoLeased(t)
	a.Close(c)
	c = open(t, a, keyA, none)
	cutOff(t, c)
	change(t, parent, keyA, func(r *record) { r.Connected = false }) // as if a's were not there yet
	d := beginOpen(context.Background(), b).wait(t, now, nothing)
	if err := c.PWrite(block(9, 9), 0, false); !errors.Is(err, unix.ESHUTDOWN) {
		t.Errorf("got %v, want ESHUTDOWN", err)
	}
	wantBlock(t, d, 1, 1, 0)
	b.Close(d)
	a.Close(c)
}

// Nobody is told that something is kept that is in a file without a name.
func TestDiskIsReplaced(t *testing.T) {
	for name, replace := range map[string]func(path string) error{
		"replaced": func(path string) error { return os.Rename(path+".other", path) },
		"removed":  os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			_, parent, s, c := leased(t)
			path := inParent(parent, diskOf(keyA))
			if err := os.WriteFile(path+".other", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := replace(path); err != nil {
				t.Fatal(err)
			}
			if err := c.PWrite(block(1, 2), 0, true); !errors.Is(err, unix.ESHUTDOWN) {
				t.Errorf("got %v, want ESHUTDOWN", err)
			}
			s.Close(c)
		})
	}
}

// What the old server had made, and may still rename, is gone before the client
// is let in.
func TestLateRename(t *testing.T) {
	now, parent, a, b, c := twoLeased(t)
	cutOff(t, c)
	names := map[string]bool{} // whether it must be gone
	for _, key := range []Key{keyA, keyB} {
		name := inParent(parent, string(key)+".tmp."+sys.RandomName())
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := unix.Flock(openFile(t, name), unix.LOCK_EX); err != nil {
			t.Fatal(err)
		}
		names[name] = key == keyA
	}
	d := beginOpen(context.Background(), b).wait(t, now, nothing)
	for name, gone := range names {
		if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) != gone {
			t.Errorf("%s: got %v, want it gone: %v", name, err, gone)
		}
	}
	b.Close(d)
	a.Close(c)
}

// A server that another one takes over from while it writes its own record does
// not put that in place of the other's.
func TestLateRecord(t *testing.T) {
	for _, unsettled := range []bool{false, true} {
		name := map[bool]string{false: "given back", true: "settled"}[unsettled]
		t.Run(name, func(t *testing.T) {
			now, parent := newClock(), t.TempDir()
			o := leasedOptions(t, now, parent)
			writes, onWrite := 0, func() {}
			real := o.now
			o.now = func() time.Time { writes++; onWrite(); return real() }
			s := started(t, o)
			takeover := func() { change(t, parent, keyA, func(r *record) { r.Generation = 99; r.Connected = true }) }
			c := open(t, s, keyA, blank(t, parent, testSize))
			put(t, c, 1, 1, 0)
			if unsettled {
				s.Close(c)
				change(t, parent, keyA, func(r *record) { r.Connected = true })
				writes = 0
				onWrite = func() {
					if writes == 2 { // the first takes it up
						takeover()
					}
				}
				ctx := context.Background()
				opened := make(chan error, 1)
				go func() { _, err := s.Open(ctx, keyA, "", minute, none); opened <- err }()
				for waiting := true; waiting; {
					select {
					case err := <-opened:
						waiting = false
						if !errors.Is(err, errOvertaken) {
							t.Errorf("open: got %v, want %v", err, errOvertaken)
						}
					case <-time.After(2 * time.Millisecond):
						now.pass(time.Second)
					}
				}
			} else {
				onWrite = func() { onWrite = func() {}; takeover() }
				s.Close(c)
			}
			onWrite = func() {}
			change(t, parent, keyA, func(r *record) {
				if r.Generation != 99 || !r.Connected {
					t.Errorf("got record %+v, want the other server's", *r)
				}
			})
		})
	}
}

// onceItWrites returns what says what is to happen, once, when a server with o is
// about to write its next record.
func onceItWrites(o *Options) (set func(func())) {
	next, real := func() {}, o.now
	o.now = func() time.Time {
		f := next
		next = func() {}
		f()
		return real()
	}
	return func(f func()) { next = f }
}

// A disk that another server takes while this one is about to drop it stays.
func TestLateDrop(t *testing.T) {
	now, parent := newClock(), t.TempDir()
	o := leasedOptions(t, now, parent)
	whenItWrites := onceItWrites(&o)
	s := started(t, o)
	c := open(t, s, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
	s.Close(c)
	d, ok := s.keeper.(*dir)
	if !ok {
		t.Fatal("no dir")
	}
	whenItWrites(func() {
		change(t, parent, keyA, func(r *record) { r.Generation++; r.Connected = true })
	})
	if _, err := d.drop(waiter{entry: entry{key: keyA}}, Evicted); !errors.Is(err, errElsewhere) {
		t.Errorf("got %v, want %v", err, errElsewhere)
	}
	wantFiles(t, parent, diskOf(keyA), recordOf(keyA), lockName)
	change(t, parent, keyA, func(r *record) {
		if r.Lost != "" || !r.Connected {
			t.Errorf("got record %+v, want the other server's", *r)
		}
	})
}

// So does one that failed a server which another one has taken over from.
func TestLateLoss(t *testing.T) {
	now, parent := newClock(), t.TempDir()
	o := leasedOptions(t, now, parent)
	whenItWrites := onceItWrites(&o)
	s := started(t, o)
	c := open(t, s, keyA, blank(t, parent, testSize))
	put(t, c, 1, 1, 0)
	c.session.fail(unix.EIO)
	whenItWrites(func() {
		change(t, parent, keyA, func(r *record) { r.Generation++ })
	})
	s.Close(c)
	wantFiles(t, parent, diskOf(keyA), recordOf(keyA), lockName)
}
