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
	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
)

// Two servers that raise the same generation, because the lock of the first was
// lost before it had done so, are not taken for each other.
func TestSameGeneration(t *testing.T) {
	now, a, b, c := twoLeased(t)
	a.Close(c)
	c = resume(t, a, keyA)
	cutOff(t, c)
	change(t, a, func(r *record.Record) { r.Generation--; r.Connected = false })
	d := taken(t, b, now)
	put(t, d, 2, 1, 1)
	b.Close(d)
	if err := c.PWrite(kit.Block(9, 9), 0, true); !errors.Is(err, unix.ESHUTDOWN) {
		t.Errorf("flush: got %v, want ESHUTDOWN", err)
	}
	a.Close(c)
}

// A server whose own record came late does not modify what another took up before.
func TestFirstRequestLooks(t *testing.T) {
	now, a, b, c := twoLeased(t)
	a.Close(c)
	c = resume(t, a, keyA)
	cutOff(t, c)
	change(t, a, func(r *record.Record) { r.Connected = false }) // as if a's were not there yet
	d := taken(t, b, now)
	if err := c.PWrite(kit.Block(9, 9), 0, false); !errors.Is(err, unix.ESHUTDOWN) {
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
			_, s, c := leased(t)
			path := diskPath(s)
			if err := errors.Join(os.WriteFile(path+".other", nil, 0o600), replace(path)); err != nil {
				t.Fatal(err)
			}
			if err := c.PWrite(kit.Block(1, 2), 0, true); !errors.Is(err, unix.ESHUTDOWN) {
				t.Errorf("got %v, want ESHUTDOWN", err)
			}
			s.Close(c)
		})
	}
}

// What the old server had made, and may still rename, is gone before the client
// is let in.
func TestLateRename(t *testing.T) {
	now, a, b, c := twoLeased(t)
	cutOff(t, c)
	names := map[string]bool{} // whether it must be gone
	for _, key := range []keep.Key{keyA, keyB} {
		name := privdir.TempName(string(key))
		path := kit.Path(a.opts.Path, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		unlock, _ := kit.Lock(t, path)
		defer unlock()
		names[name] = key == keyA
	}
	d := taken(t, b, now)
	for name, gone := range names {
		if kit.Exists(a.opts.Path, name) == gone {
			t.Errorf("%s: got it there %v, want %v", name, gone, !gone)
		}
	}
	b.Close(d)
	a.Close(c)
}

// hookedClock calls what a test has set, once, when a server is about to write its next
// record.
type hookedClock struct {
	*testkit.Clock
	hook func()
}

func (c *hookedClock) Now() time.Time {
	f := c.hook
	c.hook = func() {}
	f()
	return c.Clock.Now()
}

// hooked is leased, and what a test sets is called.
func hooked(t *testing.T) (clock *hookedClock, s *Sessions, c *Conn) {
	t.Helper()
	o, now := leasedOptions(t)
	clock = &hookedClock{now, func() {}}
	o.Clock = clock
	s = started(t, o)
	return clock, s, written(t, s, keyA)
}

// A server that another one takes over from while it writes its own record does
// not put that in place of the other's.
func TestLateRecord(t *testing.T) {
	for name, unsettled := range map[string]bool{"given back": false, "settled": true} {
		t.Run(name, func(t *testing.T) {
			clock, s, c := hooked(t)
			takeover := func() { change(t, s, func(r *record.Record) { r.Generation = 99; r.Connected = true }) }
			if !unsettled {
				clock.hook = takeover
				s.Close(c)
			} else {
				s.Close(c)
				change(t, s, func(r *record.Record) { r.Connected = true })
				clock.hook = func() { clock.hook = takeover } // the first takes it up
				opened := make(chan error, 1)
				go func() { _, err := s.Open(context.Background(), keyA, "", minute, none); opened <- err }()
				eventually(t, "it is overtaken", func() bool {
					select {
					case err := <-opened:
						if !errors.Is(err, keep.ErrOvertaken) {
							t.Errorf("open: got %v, want %v", err, keep.ErrOvertaken)
						}
						return true
					default:
					}
					if waits(clock.Clock) {
						clock.Clock.Pass(time.Second)
					}
					return false
				})
			}
			clock.hook = func() {}
			if r := kit.RecordIn(t, s.opts.Path, keyA); r.Generation != 99 || !r.Connected {
				t.Errorf("got record %+v, want the other server's", r)
			}
		})
	}
}

func versionOf(t *testing.T, s *Sessions) keep.Version {
	r := kit.RecordIn(t, s.opts.Path, keyA)
	return r.Version()
}

// A disk that another server takes while this one is about to drop it stays.
func TestLateDrop(t *testing.T) {
	clock, s, c := hooked(t)
	s.Close(c)
	clock.hook = func() { change(t, s, func(r *record.Record) { r.Generation++; r.Connected = true }) }
	if _, err := s.dir.Drop(keyA, keep.Evicted, versionOf(t, s), 0); !errors.Is(err, keep.ErrElsewhere) {
		t.Errorf("got %v, want %v", err, keep.ErrElsewhere)
	}
	wantDisks(t, s, keys{keyA})
	if r := kit.RecordIn(t, s.opts.Path, keyA); r.Lost != "" || !r.Connected {
		t.Errorf("got record %+v, want the other server's", r)
	}
}

// So does one that failed a server which another one has taken over from.
func TestLateLoss(t *testing.T) {
	clock, s, c := hooked(t)
	c.session.fail(unix.EIO)
	clock.hook = func() { overtake(t, s) }
	s.Close(c)
	wantDisks(t, s, keys{keyA})
}
