// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
	"nbdkit-tmpdisk-plugin/tmpdisk/session"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// A register knows who has which disk, and what became of clients. Its methods may
// be called from any goroutine.
type register struct {
	clients *clients.Clients
	limits  clients.Limits

	mu       sync.Mutex
	last     int64 // number
	entries  map[*entry]struct{}
	sessions map[session.Key]*entry
	tallies  map[string]*tally   // by export; an export that is gone may come back
	times    status.RequestTimes // of clients that have gone
}

// An entry is a disk that clients have, or that waits for one, or that one is
// about to get. All but what never changes is under register.mu.
type entry struct {
	number int64
	export string
	key    session.Key // "" if it is no session's
	tally  *tally
	slot   *clients.Slot // nil if it is not known whose it is

	peer    Peer      // who got it last
	since   time.Time // it waits
	size    int64
	opening int // clients that are about to get it
	closing int // clients that have just left it
	conns   []*Disk
	waiting bool
	past    status.Numbers // of connections that are over

	used      time.Time // when a request was last seen to have come
	seen      status.Numbers
	allocated uint64 // bytes, after those requests:
	measured  status.Numbers
}

// A conn is a client's connection to a disk.
type conn struct {
	peer  Peer
	since time.Time
}

// A tally counts what became of the clients of an export.
type tally struct {
	opens      [status.Outcomes]atomic.Uint64
	make, open status.Histogram
	fenced     atomic.Uint64

	past status.Numbers // of disks that are gone; under register.mu
}

func newRegister(limits clients.Limits) *register {
	return &register{
		clients: clients.New(), limits: limits,
		entries: map[*entry]struct{}{}, sessions: map[session.Key]*entry{}, tallies: map[string]*tally{},
	}
}

// tally is that of an export.
func (r *register) tally(export string) *tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tallyOf(export)
}

func (r *register) tallyOf(export string) *tally {
	t := r.tallies[export]
	if t == nil {
		t = &tally{}
		r.tallies[export] = t
	}
	return t
}

// open books a client that is to get a disk: the one of session key, if that is
// not "". The error says that it has too many already. The caller must call either
// connect or fail, with taken, which is a slot for a disk that is another client's up
// to now, or nil.
func (r *register) open(export string, key session.Key, peer Peer) (e *entry, taken *clients.Slot, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e = r.sessions[key]; e == nil {
		e = r.add(export, key)
	}
	if r.limits.Disks > 0 && (e.slot == nil || e.slot.Owner() != peer.Owner()) {
		slot, err := r.clients.Enter(peer.Owner(), r.limits)
		if err != nil {
			r.drop(e)
			return nil, nil, err
		}
		if e.slot == nil {
			e.slot = slot
		} else {
			taken = slot
		}
	}
	e.opening++
	return e, taken, nil
}

// add books a disk. With r.mu.
func (r *register) add(export string, key session.Key) *entry {
	r.last++
	e := &entry{
		number: r.last, export: export, key: key, tally: r.tallyOf(export),
	}
	r.entries[e] = struct{}{}
	if key != "" {
		r.sessions[key] = e
	}
	return e
}

// drop forgets a disk that nobody has and that waits for nobody. With r.mu.
func (r *register) drop(e *entry) {
	if e.opening > 0 || e.closing > 0 || len(e.conns) > 0 || e.waiting {
		return
	}
	delete(r.entries, e)
	if e.key != "" {
		delete(r.sessions, e.key)
	}
	if e.slot != nil {
		e.slot.Leave()
	}
	e.tally.past.Add(e.past)
}

// fail books that the client of e has not got it; see open.
func (r *register) fail(e *entry, taken *clients.Slot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if taken != nil {
		taken.Leave()
	}
	e.opening--
	r.drop(e)
}

// connect books that the client of e has it, as d; see open.
func (r *register) connect(e *entry, d *Disk, peer Peer, taken *clients.Slot) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if taken != nil {
		e.slot.Leave()
		e.slot = taken
	}
	e.opening--
	e.waiting = false
	e.peer, e.size = peer, d.Size()
	e.conns = append(e.conns, d)
	d.entry, d.client = e, conn{peer, time.Now()}
}

// newest is the connection that came last of those that may use the disk, or of all.
// With r.mu.
func (e *entry) newest() (newest conn, fenced bool) {
	fenced = true
	for _, d := range e.conns {
		c, f := d.client, d.conn != nil && d.conn.Fenced()
		if fenced && !f || f == fenced && c.since.After(newest.since) {
			newest, fenced = c, f
		}
	}
	return newest, fenced
}

// close books that the client of d has gone. What becomes of the disk is known when
// the caller calls release. If others have it still, it is theirs.
func (r *register) close(d *Disk) *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := d.entry
	e.closing++
	left := d.client.peer
	e.conns = slices.DeleteFunc(e.conns, func(other *Disk) bool { return other == d })
	e.past.Add(d.numbers())
	r.times.Add(d.times())
	if now, _ := e.newest(); len(e.conns) > 0 && e.slot != nil && e.slot.Owner() == left.Owner() && now.peer != left {
		if slot, err := r.clients.Enter(now.peer.Owner(), clients.Limits{}); err == nil {
			e.slot.Leave()
			e.slot = slot
		}
	}
	return e
}

// release ends what close has begun.
func (r *register) release(e *entry) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e.closing--
	r.drop(e)
}

// waits books that the disk of a session waits for its client.
func (r *register) waits(key session.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.sessions[key]; e != nil {
		e.waiting, e.since = true, time.Now()
	}
}

// gone books that a disk that waited is there no more.
func (r *register) gone(key session.Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.sessions[key]; e != nil {
		e.waiting = false
		r.drop(e)
	}
}

// found books a disk that waits since before this server began.
func (r *register) found(w session.Waiting) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.sessions[w.Key]
	if e == nil {
		e = r.add(w.Export, w.Key)
	}
	e.waiting, e.since, e.size = true, w.Since, w.Size
}

// list is the disks that clients have or that wait for them, by number. With r.mu.
func (r *register) list() []*entry {
	var list []*entry
	for e := range r.entries {
		if len(e.conns) > 0 || e.waiting {
			list = append(list, e)
		}
	}
	slices.SortFunc(list, func(a, b *entry) int { return cmp.Compare(a.number, b.number) })
	return list
}
