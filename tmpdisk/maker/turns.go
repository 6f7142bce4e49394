// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"context"
	"math"
	"runtime"
	"time"
)

// stall is how long a client waits for the mkfs of other exports, some of which may hang.
const stall = 10 * time.Second

// Turns bound how many mkfs run at a time for molds. There are as many for clients as
// for what is made ahead of them: a client does not wait until the molds of all other
// exports have been made, and never longer than stall.
type Turns struct {
	ahead, wanted chan struct{}
	stall         time.Duration // other than the constant in tests only
	named         *Turns
}

// NewTurns returns turns for one mkfs on each CPU, and as many for clients.
func NewTurns() *Turns {
	n := runtime.NumCPU()
	named := &Turns{wanted: make(chan struct{}, n), stall: math.MaxInt64}
	return &Turns{make(chan struct{}, n), make(chan struct{}, n), stall, named}
}

// Named are turns for the sizes that clients name: as many more, for which they wait as long
// as it takes, because a client can name any number of sizes.
func (t *Turns) Named() *Turns { return t.named }

// take waits for a turn, and among those of clients once wanted is closed, and then not
// for ever: each export has one mkfs at a time. done must be called once. The error says why ctx ended.
func (t *Turns) take(ctx context.Context, wanted <-chan struct{}) (done func(), err error) {
	var stalled <-chan time.Time
	for free := t.ahead; ; {
		select {
		case free <- struct{}{}:
			return func() { <-free }, nil
		case <-wanted:
			free, wanted, stalled = t.wanted, nil, time.After(t.stall)
		case <-stalled:
			return func() {}, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
