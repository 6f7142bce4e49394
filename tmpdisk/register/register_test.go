// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package register

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

const slotsEach = 3

func newRegister() *Register {
	r := New(clients.New(), clients.Limits{Disks: slotsEach})
	r.patience = time.Hour
	return r
}

// key is a session's.
type key string

func (k key) Short() string { return string(k) }

// fakeConn is a connection that has made requests.
type fakeConn struct {
	counts status.Counts
	failed bool
}

func (c *fakeConn) Numbers() status.Numbers  { return c.counts.Load() }
func (*fakeConn) Times() status.RequestTimes { return status.RequestTimes{} }
func (*fakeConn) Fenced() bool               { return false }
func (c *fakeConn) Failed() bool             { return c.failed }
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
	r.Tally("export") // it stays
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
	testkit.Must(t, err)
	here.Connect(conn, 1<<20)
	snapshot := make(chan Snapshot)
	go func() { snapshot <- r.Snapshot(noSpace) }()
	<-conn.asked
	comes, err := r.Open("export", nil, clients.Peer{Address: "user 2"})
	testkit.Must(t, err)
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

// A filesystem that hangs does not keep a Snapshot from what others say.
func TestSnapshotWhileAFilesystemHangs(t *testing.T) {
	r, goOn := newRegister(), make(chan struct{})
	r.Found(key("a"), "export", true, 1<<20, time.Time{})
	space := func(bytes uint64) func(Key) uint64 { return func(Key) uint64 { return bytes } }
	r.Snapshot(space(4096))
	c, err := r.Open("export", key("b"), clients.Peer{Address: "user 1"})
	testkit.Must(t, err)
	hangs := &hungConn{asked: make(chan struct{}), goOn: goOn}
	c.Connect(hangs, 1<<20)
	other, err := r.Open("export", nil, clients.Peer{Address: "user 2"})
	testkit.Must(t, err)
	other.Connect(&fakeConn{}, 1<<20)
	check := func(what string, want ...int64) {
		t.Helper()
		var got []int64
		for _, d := range r.Snapshot(space(9)).Disks {
			got = append(got, d.Allocated)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v bytes, want %v", what, got, want)
		}
	}
	r.patience = time.Millisecond // which is enough to have begun
	testkit.WaitFor(t, "the disk that does not hang", func() bool {
		return r.Snapshot(space(9)).Disks[2].Allocated == 4096
	})
	<-hangs.asked
	r.patience = time.Hour // nobody waits for it now
	check("while it hangs", 4096, 0, 4096)
	close(goOn)
	testkit.WaitFor(t, "the answer", func() bool { return len(r.askingSessions) == 0 })
	check("then", 4096, 8192, 4096)
}

func TestSpaceIsAskedAgainAfterRequests(t *testing.T) {
	r, conn, asked := newRegister(), &fakeConn{}, 0
	waiting := func(Key) uint64 { asked++; return 4096 }
	c, err := r.Open("export", key("a"), clients.Peer{Address: "user 1"})
	testkit.Must(t, err)
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

// names are those of the exports that the metrics show.
func names(r *Register) []string { return slices.Sorted(maps.Keys(r.Snapshot(noSpace).Exports)) }

func TestAnExportThatIsGoneIsForgotten(t *testing.T) {
	r := newRegister()
	first := r.Tally("export")
	second := r.Tally("export") // its file has changed
	r.Release(first)
	c, err := r.Open("export", key("a"), clients.Peer{Address: "user 1"})
	testkit.Must(t, err)
	c.Connect(&fakeConn{}, 1<<20)
	r.Release(second)
	c.Disconnect()
	r.Waits(key("a"))
	c.Done()
	if got := names(r); !slices.Equal(got, []string{"export"}) {
		t.Errorf("while a disk of it waits: got %q", got)
	}
	r.Gone(key("a"))
	if got := names(r); len(got) != 0 {
		t.Errorf("once that is gone: got %q", got)
	}
}

// It is shown which disk lacks data, and that stays counted when the disk is gone.
func TestFailedDisk(t *testing.T) {
	r := newRegister()
	tally := r.Tally("export")
	c, err := r.Open("export", key("a"), clients.Peer{Address: "user 1"})
	if err != nil {
		t.Fatal(err)
	}
	conn := &fakeConn{}
	c.Connect(conn, 1<<20)
	want := func(state string, failed uint64) {
		t.Helper()
		s := r.Snapshot(noSpace)
		if got := s.Exports["export"].Failed; got != failed {
			t.Errorf("got %d failed, want %d", got, failed)
		}
		if state != "" && s.Disks[0].State != state {
			t.Errorf("got state %q, want %q", s.Disks[0].State, state)
		}
	}
	want(status.StateConnected, 0)
	conn.failed = true
	r.Failed(key("a"))
	want(status.StateFailed, 1)
	c.Disconnect()
	c.Done()
	r.Failed(key("a")) // which nobody knows any more
	want("", 1)
	r.Release(tally)
}

// Names that clients have chosen, of an earlier server, do not become metrics.
func TestFoundDisksOfNoExport(t *testing.T) {
	r := newRegister()
	for i := range 300 {
		r.Found(key(fmt.Sprint(i)), fmt.Sprint("chosen", i), false, 1<<20, time.Time{})
	}
	if got := names(r); !slices.Equal(got, []string{Others}) {
		t.Errorf("got %q", got)
	}
	s := r.Snapshot(noSpace)
	if e := s.Exports[Others]; e.Disks != 300 || e.Waiting != 300 || s.Disks[0].Export != "chosen0" {
		t.Errorf("got %+v and %+v", e, s.Disks[0])
	}
	c, err := r.Open("chosen7", key("7"), clients.Peer{Address: "user 1"}) // there is such an export by now
	testkit.Must(t, err)
	conn := &fakeConn{}
	c.Connect(conn, 1<<20)
	conn.counts.Written.Add(5)
	s = r.Snapshot(noSpace)
	if e := s.Exports[Others]; e.Disks != 299 || e.Numbers != (status.Numbers{}) {
		t.Errorf("the others: got %+v", e)
	}
	if e := s.Exports["chosen7"]; e == nil || e.Disks != 1 || e.Numbers.Written.Bytes != 5 {
		t.Errorf("its own export: got %+v", e)
	}
	c.Disconnect()
	c.Done()
	for i := range 300 {
		r.Gone(key(fmt.Sprint(i)))
	}
	if got := names(r); len(got) != 0 {
		t.Errorf("once all are gone: got %q", got)
	}
}
