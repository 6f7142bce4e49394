// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package register

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// A Connection is what there is to know of a client's connection to a disk. All
// methods but Allocated are called with a lock held, and must not wait.
type Connection interface {
	Numbers() status.Numbers    // of its requests
	Times() status.RequestTimes // of some of them
	Fenced() bool               // a later connection has the disk
	Failed() bool               // the filesystem could not write all that clients had written
	Allocated() uint64          // what the disk takes of its filesystem, in bytes
}

// A Key is a session's name. Equal keys are one session's. Short does not tell the
// client's token.
type Key interface{ Short() string }

// A Register knows who has which disk, and what became of clients. Its methods may
// be called from any goroutine.
type Register struct {
	clients *clients.Clients
	limits  clients.Limits

	asking, askingSessions sys.Turn      // how much space disks take: those of sessions are elsewhere
	patience               time.Duration // other than patience in tests only

	mu       sync.Mutex
	last     int64 // number
	entries  map[*entry]struct{}
	sessions map[Key]*entry
	tallies  map[string]*Tally   // by export; of those that are there, or have disks
	times    status.RequestTimes // of clients that have gone
}

// An entry is a disk that clients have, or that waits for one, or that one is
// about to get. All but what never changes is under Register.mu.
type entry struct {
	number int64
	export string
	key    Key    // nil if it is no session's
	tally  *Tally // of that export, or of the others
	holds  holds  // of those who have it, or of who had it last

	peer    clients.Peer // who got it last
	since   time.Time    // it waits
	size    int64
	opening int // clients that are about to get it
	leaving int // clients that have just left it
	clients []*Client
	waiting bool
	past    status.Numbers // of connections that are over

	used      time.Time // when a request was last seen to have come
	seen      status.Numbers
	allocated uint64 // bytes, after those requests:
	measured  status.Numbers
}

// A Client is about to get a disk, has it, or has just left it.
type Client struct {
	register *Register
	entry    *entry
	peer     clients.Peer

	conn  Connection // these two: from Connect on
	since time.Time
}

// A Tally counts what became of the clients of an export.
type Tally struct {
	Opens      [status.Outcomes]atomic.Uint64
	Make, Open status.Histogram
	Fenced     atomic.Uint64
	Failed     atomic.Uint64 // disks that lack what clients had written

	name  string
	users int            // the export, and disks; under Register.mu
	past  status.Numbers // of disks that are gone; under Register.mu
}

// Others is the name of all exports that there are not, of which disks were found. It
// is the name of none that there is.
const Others = "(others)"

// New returns a Register that knows of no disk yet. Each disk takes a slot of c, if l
// has a limit of disks.
func New(c *clients.Clients, l clients.Limits) *Register {
	return &Register{
		clients: c, limits: l,
		asking: sys.NewTurn(), askingSessions: sys.NewTurn(), patience: patience,
		entries: map[*entry]struct{}{}, sessions: map[Key]*entry{}, tallies: map[string]*Tally{},
	}
}

// Tally is that of an export. It lasts until the caller has given it to Release, and
// all disks have gone that are counted in it.
func (r *Register) Tally(export string) *Tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.use(export)
}

// Release says that the caller of Tally does not need it any more.
func (r *Register) Release(t *Tally) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.release(t)
}

// use is the tally of an export, for one user more. With r.mu.
func (r *Register) use(export string) *Tally {
	t := r.tallies[export]
	if t == nil {
		t = &Tally{name: export}
		r.tallies[export] = t
	}
	t.users++
	return t
}

// release ends one use of t. With r.mu.
func (r *Register) release(t *Tally) {
	if t.users--; t.users == 0 {
		delete(r.tallies, t.name)
	}
}

// Open books a client that is to get a disk: the session's of that key, or, if it is
// nil, one of its own. The error wraps [clients.ErrTooMany]: it has too many already.
// The caller must call either Connect or Fail.
func (r *Register) Open(export string, key Key, peer clients.Peer) (*Client, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.sessions[key]
	switch {
	case e == nil:
		e = r.add(export, export, key)
	case e.tally.name != export: // the others': no request of it has been counted yet
		r.release(e.tally)
		e.tally = r.use(export)
	}
	c := &Client{register: r, entry: e, peer: peer}
	if r.limits.Disks > 0 {
		if err := e.holds.take(r.clients, peer.Owner(), r.limits); err != nil {
			r.drop(e)
			return nil, err
		}
	}
	e.opening++
	return c, nil
}

// add books a disk of an export, in the tally of that name. With r.mu.
func (r *Register) add(export, tally string, key Key) *entry {
	r.last++
	e := &entry{number: r.last, export: export, key: key, tally: r.use(tally), holds: holds{}}
	r.entries[e] = struct{}{}
	if key != nil {
		r.sessions[key] = e
	}
	return e
}

// drop forgets a disk that nobody has and that waits for nobody. With r.mu.
func (r *Register) drop(e *entry) {
	if e.opening > 0 || e.leaving > 0 || len(e.clients) > 0 || e.waiting {
		return
	}
	delete(r.entries, e)
	if e.key != nil {
		delete(r.sessions, e.key)
	}
	e.holds.forget(true)
	e.tally.past.Add(e.past)
	r.release(e.tally)
}

// Number is the disk's, which no other disk of the server gets.
func (c *Client) Number() int64 { return c.entry.number }

// Tally is that of the disk's export.
func (c *Client) Tally() *Tally { return c.entry.tally }

// Fail books that c has not got its disk.
func (c *Client) Fail() {
	r := c.register
	r.mu.Lock()
	defer r.mu.Unlock()
	c.entry.holds.end(c.peer.Owner(), false)
	c.entry.opening--
	r.drop(c.entry)
}

// Connect books that c has its disk of so many bytes, by way of conn.
func (c *Client) Connect(conn Connection, size int64) {
	r, e := c.register, c.entry
	r.mu.Lock()
	defer r.mu.Unlock()
	e.holds.forget(false)
	c.conn, c.since = conn, time.Now()
	e.opening--
	e.waiting = false
	e.peer, e.size = c.peer, size
	e.clients = append(e.clients, c)
}

// newest is the client that came last of those that may use the disk, or of all; nil
// if there is none. With the lock.
func (e *entry) newest() (newest *Client, fenced bool) {
	fenced = true
	for _, c := range e.clients {
		f := c.conn.Fenced()
		if newest == nil || fenced && !f || f == fenced && c.since.After(newest.since) {
			newest, fenced = c, f
		}
	}
	return newest, fenced
}

// Disconnect books that c has gone. If others have the disk still, it is theirs alone. What
// else becomes of it is known when the caller calls Done.
func (c *Client) Disconnect() {
	r, e := c.register, c.entry
	r.mu.Lock()
	defer r.mu.Unlock()
	e.leaving++
	e.clients = slices.DeleteFunc(e.clients, func(other *Client) bool { return other == c })
	e.past.Add(c.conn.Numbers())
	r.times.Add(c.conn.Times())
	e.holds.end(c.peer.Owner(), len(e.clients) == 0)
}

// Done ends what Disconnect has begun.
func (c *Client) Done() {
	r := c.register
	r.mu.Lock()
	defer r.mu.Unlock()
	c.entry.leaving--
	r.drop(c.entry)
}

// Waits books that the disk of a session waits for its client.
func (r *Register) Waits(key Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.sessions[key]; e != nil {
		e.waiting, e.since = true, time.Now()
	}
}

// Gone books that a disk that waited is there no more.
func (r *Register) Gone(key Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.sessions[key]; e != nil {
		e.waiting = false
		r.drop(e)
	}
}

// Failed books that the filesystem could not write all that was written to a disk.
func (r *Register) Failed(key Key) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.sessions[key]; e != nil {
		e.tally.Failed.Add(1)
	}
}

// Found books a disk of an earlier server's, of so many bytes, that has waited since
// then. exists says that there is such an export: else it is counted with the others',
// until a client comes for it.
func (r *Register) Found(key Key, export string, exists bool, size int64, since time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.sessions[key]
	if e == nil {
		tally := Others
		if exists {
			tally = export
		}
		e = r.add(export, tally, key)
	}
	e.waiting, e.since, e.size = true, since, size
}
