// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// A Client is who asks for a disk.
type Client struct {
	Export string // the name that it asked for
	// Peer says who it is. It is called at most once, on the goroutine of Open.
	Peer func() (clients.Peer, error)
	// Direct are the requests that do not come to the Connection's methods; may be nil.
	Direct Direct
	// Sleep sleeps for so long, or returns an error when the client has gone or
	// the server is to end. It is called on the goroutines of requests.
	Sleep func(time.Duration) error
}

// Direct counts the requests that are served past the Connection's methods.
type Direct interface {
	Numbers() status.Numbers
	// Times are those of some requests; Time adds one.
	Times() status.RequestTimes
	Time(d time.Duration)
}

// withClient runs a function with a context that ends when the client has gone
// or the server is to end.
type withClient = func(func(context.Context) (*Connection, error)) (*Connection, error)
