// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package register

import (
	"cmp"
	"context"
	"slices"
	"sync/atomic"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/status"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// A Snapshot is what a Register knows at one moment.
type Snapshot struct {
	Disks   []status.Disk                    // that clients have or that wait for them, by number
	Exports map[string]*status.ExportMetrics // by name; those of no export are under Others
	Opening int                              // clients that are about to get a disk
	Times   status.RequestTimes              // of some requests of all clients
}

// Snapshot returns what r knows now. waiting is how many bytes of its filesystem the
// disk of a session takes that waits. It is called without the lock, as
// [Connection].Allocated is: whoever else needs r does not wait for a filesystem. Nor
// does Snapshot for one that hangs: until it answers, disks take what they took before.
func (r *Register) Snapshot(waiting func(Key) uint64) Snapshot {
	s := Snapshot{Disks: []status.Disk{}, Exports: map[string]*status.ExportMetrics{}}
	looks := r.look(&s)
	markSeveral(s.Disks)
	r.ask(r.asking, looks, waiting, func(e *entry) bool { return e.key == nil })
	r.ask(r.askingSessions, looks, waiting, func(e *entry) bool { return e.key != nil })
	for i, l := range looks {
		d, to := &s.Disks[i], s.Exports[l.tally]
		d.Allocated = int64(l.bytes.Load())
		to.Disks++
		if d.State == status.StateWaiting {
			to.Waiting++
		}
		to.Allocated += uint64(d.Allocated)
	}
	return s
}

// markSeveral marks the disks of clients that have several of one export, without a
// session: they may take them for one disk.
func markSeveral(disks []status.Disk) {
	type whose struct{ export, peer, dn string }
	of := func(d status.Disk) whose { return whose{d.Export, d.Peer, d.DN} }
	counts := map[whose]int{}
	for _, d := range disks {
		if d.Session == "" && d.Peer+d.DN != "" {
			counts[of(d)]++
		}
	}
	for i, d := range disks {
		if n := counts[of(d)]; d.Session == "" && n > 1 {
			disks[i].Several = n
		}
	}
}

// A look is at how much space a disk takes.
type look struct {
	entry  *entry
	tally  string
	client *Client // who has the disk, or nil
	after  status.Numbers
	known  bool // that has been seen after these requests
	bytes  atomic.Uint64
}

// patience is how long a Snapshot waits for a filesystem. The next one waits no more.
const patience = time.Second

// ask takes those looks that must be, of the disks that are meant.
func (r *Register) ask(turn sys.Turn, looks []*look, waiting func(Key) uint64, meant func(*entry) bool) {
	ctx, cancel := context.WithTimeout(context.Background(), r.patience)
	defer cancel()
	_, _ = turn.Try(ctx, func() {
		for _, l := range looks {
			if !l.known && meant(l.entry) {
				l.bytes.Store(r.allocated(l, waiting))
			}
		}
	})
}

// look fills in s what needs no look at a filesystem, and returns the looks that its
// disks need.
func (r *Register) look(s *Snapshot) []*look {
	now := time.Now().UTC()
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Times = r.times
	for name, t := range r.tallies {
		s.Exports[name] = t.metrics(name)
	}
	var looks []*look
	for _, e := range r.sorted() {
		n := e.numbers()
		// Of a disk that a client has just left as well: no number may go down.
		s.Exports[e.tally.name].Numbers.Add(n)
		s.Opening += e.opening
		if len(e.clients) == 0 && !e.waiting {
			continue
		}
		for _, c := range e.clients {
			s.Times.Add(c.conn.Times())
		}
		line, l := e.describe(n, now)
		s.Disks, looks = append(s.Disks, line), append(looks, l)
	}
	return looks
}

func (r *Register) sorted() []*entry {
	var list []*entry
	for e := range r.entries {
		list = append(list, e)
	}
	slices.SortFunc(list, func(a, b *entry) int { return cmp.Compare(a.number, b.number) })
	return list
}

// numbers are those of all connections to the disk.
func (e *entry) numbers() status.Numbers {
	n := e.past
	for _, c := range e.clients {
		n.Add(c.conn.Numbers())
	}
	return n
}

// describe is the disk's line without its space, after so many requests.
func (e *entry) describe(n status.Numbers, now time.Time) (status.Disk, *look) {
	peer, since, state := e.peer, e.since, status.StateWaiting
	c, fenced := e.newest()
	if c != nil {
		peer, since, state = c.peer, c.since, status.StateConnected
		switch {
		case c.conn.Failed():
			state = status.StateFailed
		case fenced: // its successor has left
			state = status.StateFenced
		}
	}
	if n != e.seen {
		e.seen, e.used = n, now
	}
	line := status.Disk{
		Number: e.number, Export: e.export, Peer: peer.Address, DN: peer.DN,
		Since: since.UTC(), State: state, Size: e.size,
		Read: n.Read, Written: n.Written, Trimmed: n.Trimmed, Zeroed: n.Zeroed,
	}
	if e.key != nil {
		line.Session = e.key.Short()
	}
	if !e.used.IsZero() {
		used := e.used
		line.Last = &used
	}
	l := &look{entry: e, tally: e.tally.name, client: c, after: n, known: e.measured == n && e.allocated > 0}
	l.bytes.Store(e.allocated)
	return line, l
}

// allocated asks how many bytes the disk takes. That is not asked again as long as no
// request comes.
func (r *Register) allocated(l *look, waiting func(Key) uint64) (bytes uint64) {
	e := l.entry
	switch {
	case l.client != nil:
		bytes = l.client.conn.Allocated()
	case e.key != nil:
		bytes = waiting(e.key)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	// Else the file may have been closed meanwhile, and this be another one's.
	if l.client == nil && e.waiting || slices.Contains(e.clients, l.client) {
		e.allocated, e.measured = bytes, l.after
	}
	return bytes
}

func (t *Tally) metrics(export string) *status.ExportMetrics {
	m := &status.ExportMetrics{
		Export: export, Make: t.Make.Snapshot(), Open: t.Open.Snapshot(), Numbers: t.past, Fenced: t.Fenced.Load(), Failed: t.Failed.Load(),
	}
	for i := range m.Opens {
		m.Opens[i] = t.Opens[i].Load()
	}
	return m
}
