// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package register

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

const slotsEach = 3

func newRegister() *Register { return New(clients.New(), clients.Limits{Disks: slotsEach}) }

// key is a session's.
type key string

func (k key) Short() string { return string(k) }

// fakeConn is a connection that has made requests.
type fakeConn struct{ counts status.Counts }

func (c *fakeConn) Numbers() status.Numbers  { return c.counts.Load() }
func (*fakeConn) Times() status.RequestTimes { return status.RequestTimes{} }
func (*fakeConn) Fenced() bool               { return false }
func (*fakeConn) Allocated() uint64          { return 4096 }

func noSpace(Key) uint64 { return 0 }

// written is what the metrics show for each export that has been written to.
func written(r *Register) map[string]status.Count {
	sums := map[string]status.Count{}
	for name, e := range r.Snapshot(noSpace).Exports {
		if n := e.Numbers.Written; n != (status.Count{}) {
			sums[name] = n
		}
	}
	return sums
}

// wantEmpty is that all of it is free.
func wantEmpty(t *testing.T, r *Register, owners ...string) {
	t.Helper()
	if len(r.entries) != 0 || len(r.sessions) != 0 {
		t.Errorf("got %d entries, %d sessions, want none", len(r.entries), len(r.sessions))
	}
	for _, owner := range owners {
		for i := range slotsEach {
			if _, err := r.Open("", nil, clients.Peer{Address: owner}); err != nil {
				t.Errorf("slot %d of %s: %v", i, owner, err)
			}
		}
		if _, err := r.Open("", nil, clients.Peer{Address: owner}); !errors.Is(err, clients.ErrTooMany) {
			t.Errorf("one more slot of %s: got %v, want ErrTooMany", owner, err)
		}
	}
}

// Many clients of few sessions at the same time, while others look.
func TestRegisterStress(t *testing.T) {
	r := newRegister()
	var all sync.WaitGroup
	wrote := make([]int64, 8)
	for worker := range wrote {
		all.Add(1)
		go func() {
			defer all.Done()
			rng := rand.New(rand.NewPCG(uint64(worker), 1))
			for range 1000 {
				session := []Key{nil, key("a"), key("b"), key("c")}[rng.IntN(4)]
				c, err := r.Open("export", session, clients.Peer{Address: fmt.Sprintf("user %d", worker%4)})
				if err != nil {
					continue
				}
				if rng.IntN(4) == 0 {
					c.Fail()
					continue
				}
				conn := &fakeConn{}
				c.Connect(conn, 1<<20)
				conn.counts.Written.Add(1)
				wrote[worker]++
				c.Disconnect()
				if session != nil && rng.IntN(2) == 0 {
					r.Waits(session)
				}
				c.Done()
				if session != nil && rng.IntN(2) == 0 {
					r.Gone(session)
				}
			}
		}()
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		all.Wait()
	}()
	for last, running := int64(0), true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		n := written(r)["export"].Requests
		if n < last {
			t.Fatalf("requests: got %d after %d", n, last)
		}
		last = n
	}
	for _, k := range []key{"a", "b", "c"} {
		r.Gone(k)
	}
	var want int64
	for _, n := range wrote {
		want += n
	}
	if got := written(r)["export"].Requests; got != want || want == 0 {
		t.Errorf("requests: got %d, want %d", got, want)
	}
	wantEmpty(t, r, "user 0", "user 1", "user 2", "user 3")
}

// hungConn is on a filesystem that hangs until go on is closed.
type hungConn struct {
	fakeConn
	asked, goOn chan struct{}
}

func (c *hungConn) Allocated() uint64 {
	close(c.asked)
	<-c.goOn
	return 8192
}

func TestNobodyWaitsForASnapshot(t *testing.T) {
	r, conn := newRegister(), &hungConn{asked: make(chan struct{}), goOn: make(chan struct{})}
	here, err := r.Open("export", nil, clients.Peer{Address: "user 1"})
	if err != nil {
		t.Fatal(err)
	}
	here.Connect(conn, 1<<20)
	snapshot := make(chan Snapshot)
	go func() { snapshot <- r.Snapshot(noSpace) }()
	<-conn.asked
	comes, err := r.Open("export", nil, clients.Peer{Address: "user 2"})
	if err != nil {
		t.Fatal(err)
	}
	comes.Connect(&fakeConn{}, 1<<20)
	here.Disconnect()
	close(conn.goOn)
	if s := <-snapshot; len(s.Disks) != 1 || s.Disks[0].Allocated != 8192 {
		t.Errorf("got %+v, want the disk that was there at first, of 8192 bytes", s.Disks)
	}
	if here.entry.allocated != 0 {
		t.Error("the answer is kept, though the file may have been another one's by then")
	}
}

func TestSpaceIsAskedAgainAfterRequests(t *testing.T) {
	r, conn, asked := newRegister(), &fakeConn{}, 0
	waiting := func(Key) uint64 { asked++; return 4096 }
	c, err := r.Open("export", key("a"), clients.Peer{Address: "user 1"})
	if err != nil {
		t.Fatal(err)
	}
	c.Connect(conn, 1<<20)
	conn.counts.Written.Add(1)
	c.Disconnect()
	r.Waits(key("a"))
	c.Done()
	for range 3 {
		s := r.Snapshot(waiting)
		if e := s.Exports["export"]; e.Waiting != 1 || e.Disks != 1 || e.Allocated != 4096 {
			t.Errorf("got %+v, want one disk of 4096 bytes that waits", e)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times, want once: no request has come", asked)
	}
}
