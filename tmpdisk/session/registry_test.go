// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	kit "nbdkit-tmpdisk-plugin/tmpdisk/session/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// registry counts disks as the package's contract says a caller may, and fails the
// test where it is told anything that does not fit.
type registry struct {
	t testing.TB
	s *Sessions

	mu  sync.Mutex
	of  map[keep.Key]*count
	log []string // what it was told
}

// count is what a registry knows of one key. conns are the clients that came and
// whose Close has not begun.
type count struct {
	refs, conns int
	waits       bool
}

// registered starts sessions that a registry watches.
func registered(t testing.TB, o Options) (*Sessions, *registry) {
	t.Helper()
	r := &registry{t: t, of: map[keep.Key]*count{}}
	o.Waits = func(key keep.Key) { r.told("waits", key, true) }
	o.Gone = func(key keep.Key) { r.told("gone", key, false) }
	o.Found = func(w keep.Waiting) {
		r.told("found", w.Key, true)
		if w.Export != "export" || w.Size != kit.Size && w.Size != 0 || w.Since.After(o.Clock.Now()) {
			t.Errorf("found: got %+v, want export %q and %d bytes (or damaged), not from the future", w, "export", kit.Size)
		}
	}
	r.s = New(o)
	t.Cleanup(r.s.Stop)
	if err := r.s.Start(); err != nil {
		t.Fatal(err)
	}
	return r.s, r
}

// told is called as Waits, Found and Gone are: without locks, when nobody is
// connected, and only with news.
func (r *registry) told(what string, key keep.Key, waits bool) {
	if _, ok := r.s.Space(key); ok && !waits {
		r.t.Errorf("session %s: %s, and takes space", key.Short(), what)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.at(key)
	if c.waits == waits || c.conns > 0 || what == "waits" && c.refs == 0 {
		r.t.Errorf("session %s: told that it %s, and knew %+v", key.Short(), what, *c)
	}
	c.waits = waits
	r.log = append(r.log, what+" "+names[key])
	r.tidy(key)
}

// names are those of keys in a log.
var names = map[keep.Key]string{keyA: "a", keyB: "b", keyC: "c"}

// at is with mu, as is tidy.
func (r *registry) at(key keep.Key) *count {
	if r.of[key] == nil {
		r.of[key] = &count{}
	}
	return r.of[key]
}

func (r *registry) tidy(key keep.Key) {
	if c := r.of[key]; c.refs == 0 && !c.waits {
		delete(r.of, key)
	}
}

func (r *registry) open(ctx context.Context, key keep.Key, export string, policy Policy, make kit.Maker) (*Conn, error) {
	r.mu.Lock()
	r.at(key).refs++
	r.mu.Unlock()
	c, err := r.s.Open(ctx, key, export, policy, func(ctx context.Context) (disk.Interface, error) {
		r.mu.Lock() // now: another client may have the key in hand when Open returns
		if r.at(key).waits {
			r.t.Errorf("session %s: a fresh disk while the old one is said to wait", key.Short())
		}
		r.mu.Unlock()
		return make(ctx)
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	known := r.at(key)
	var lost *keep.LostError
	if known.waits && errors.As(err, &lost) && !lost.Kept {
		r.t.Errorf("session %s: got %v while its disk is said to wait", key.Short(), err)
	}
	if err != nil {
		known.refs--
		r.tidy(key)
		return nil, err
	}
	if c.Key() != key {
		r.t.Errorf("got key %s, want %s", c.Key(), key)
	}
	known.conns++
	known.waits = false
	return c, nil
}

func (r *registry) close(c *Conn) {
	key := c.Key()
	r.mu.Lock()
	r.of[key].conns--
	r.mu.Unlock()
	r.s.Close(c)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.of[key].refs--
	r.tidy(key)
}

// waiting are the keys that wait as far as the registry was told.
func (r *registry) waiting() []keep.Key {
	r.mu.Lock()
	defer r.mu.Unlock()
	var keys []keep.Key
	for key, c := range r.of {
		if c.waits {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

// lined are the keys that the sessions have in line to be dropped.
func lined(s *Sessions) []keep.Key {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []keep.Key
	for key := range s.waiting.All {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// wantAgreed fails the test unless the registry counts what waits, and nothing else.
func (r *registry) wantAgreed(when string) {
	r.t.Helper()
	if got, want := r.waiting(), lined(r.s); !slices.Equal(got, want) {
		r.t.Errorf("%s: the registry has %d that wait, want %d: got %v, want %v", when, len(got), len(want), got, want)
	}
}
