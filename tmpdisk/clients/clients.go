// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package clients

import (
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Limits are what one client may take. 0 is no limit.
type Limits struct {
	Disks int    // at a time, connected and waiting together
	Rate  uint64 // bytes a second
	IOPS  int    // requests a second
}

// Metered reports whether requests must go through a [Meter].
func (l Limits) Metered() bool { return l.Rate > 0 || l.IOPS > 0 }

// ErrTooMany is in the error of a client that has all the disks it may have. It
// wraps EBUSY, not EDQUOT, which would mean that TMPDIR is full.
var ErrTooMany = fmt.Errorf("it may have no more: %w", unix.EBUSY)

// Clients are those that have disks or connections.
type Clients struct {
	clock sys.Clock

	mu     sync.Mutex // before a line's
	owners map[string]*owner
	owing  []*owner // those that nobody used, and that may owe something
}

// owner is a client. All is under Clients.mu.
type owner struct {
	name  string
	users int // slots and meters
	disks int
	owing bool  // in Clients.owing
	line  *line // nil until it has a meter; then its meters use it without the lock
}

// New returns Clients of which there are none yet.
func New() *Clients { return newClients(nil) }

func newClients(clock sys.Clock) *Clients {
	return &Clients{clock: sys.ClockOr(clock), owners: map[string]*owner{}}
}

// Slot is one disk of its owner.
type Slot struct {
	clients *Clients
	owner   *owner
	left    bool // under Clients.mu
}

// Enter takes a slot for one more disk of owner's. If owner has l.Disks already,
// the error wraps [ErrTooMany]. Disks are counted even if l has no limit.
func (c *Clients) Enter(owner string, l Limits) (*Slot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o := c.owners[owner]; o != nil && l.Disks > 0 && o.disks >= l.Disks {
		return nil, fmt.Errorf("open: client %q has %d of client-disks=%d: %w", owner, o.disks, l.Disks, ErrTooMany)
	}
	o := c.use(owner)
	o.disks++
	return &Slot{clients: c, owner: o}, nil
}

// Owner is whose slot it is.
func (s *Slot) Owner() string { return s.owner.name }

// Leave gives the slot up. It is free at once. Leaving twice is harmless.
func (s *Slot) Leave() {
	s.clients.mu.Lock()
	defer s.clients.mu.Unlock()
	if s.left {
		return
	}
	s.left = true
	s.owner.disks--
	s.clients.release(s.owner)
}

// use returns name's owner, for one user more. With c.mu.
func (c *Clients) use(name string) *owner {
	o := c.owners[name]
	if o == nil {
		o = &owner{name: name}
		c.owners[name] = o
	}
	o.users++
	return o
}

// release ends one use of o. With c.mu.
func (c *Clients) release(o *owner) {
	o.users--
	if o.users == 0 && !o.owing {
		o.owing = true
		c.owing = append(c.owing, o)
	}
	// Each call adds at most one and looks at two, so those that have paid
	// cannot pile up.
	now := c.clock.Now()
	for range min(2, len(c.owing)) {
		o := c.owing[0]
		c.owing[0] = nil
		c.owing = c.owing[1:]
		switch {
		case o.users > 0:
			o.owing = false
		case o.line != nil && o.line.owes(now):
			c.owing = append(c.owing, o)
		default:
			delete(c.owners, o.name)
		}
	}
}

// A Peer is who a client is, as far as that can be known.
type Peer struct {
	Address string // a kind, a space, and who: "address 192.0.2.7"
	DN      string // the distinguished name in its certificate
}

// Owner is who the client's disks belong to. It stays the same when the client
// connects again.
func (p Peer) Owner() string {
	if p.DN != "" {
		return "dn " + p.DN
	}
	return p.Address
}
