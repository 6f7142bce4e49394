// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// A Client is who asks for a disk.
type Client struct {
	Export string // the name that it asked for
	// Peer says who it is. It is called at most once, on the goroutine of Open.
	Peer func() (Peer, error)
	// Direct are the requests that do not come to the disk's methods; may be nil.
	Direct Direct
	// Sleep sleeps for so long, or returns an error when the client has gone or
	// the server is to end. It is called on the goroutines of requests.
	Sleep func(time.Duration) error
}

// A Peer is who a client is, as far as that can be known.
type Peer struct {
	Address string // status.PeerAddress, or another kind, a space, and who
	DN      string // the distinguished name in its certificate
}

func (p Peer) known() bool { return p != Peer{} }

// Owner is who the client's disks belong to. It stays the same when the client
// connects again.
func (p Peer) Owner() string {
	if p.DN != "" {
		return "dn " + p.DN
	}
	return p.Address
}

// Direct counts the requests that are served past the disk's methods.
type Direct interface {
	Numbers() status.Numbers
	// Times are those of some requests; Time adds one.
	Times() status.RequestTimes
	Time(d time.Duration)
}

// withClient runs a function with a context that ends when the client has gone
// or the server is to end.
type withClient = func(func(context.Context) (*Disk, error)) (*Disk, error)
