// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"context"
	"runtime"
)

// Turns bound how many mkfs run at a time for molds. There are as many for clients as
// for what is made ahead of them: a client does not wait until the molds of all other
// exports have been made.
type Turns struct{ ahead, wanted chan struct{} }

// NewTurns returns turns for one mkfs on each CPU, and as many for clients.
func NewTurns() *Turns {
	n := runtime.NumCPU()
	return &Turns{make(chan struct{}, n), make(chan struct{}, n)}
}

// take waits for a turn, and among those of clients once wanted is closed. done must
// be called once. The error says why ctx ended.
func (t *Turns) take(ctx context.Context, wanted <-chan struct{}) (done func(), err error) {
	for free := t.ahead; ; {
		select {
		case free <- struct{}{}:
			return func() { <-free }, nil
		case <-wanted:
			free, wanted = t.wanted, nil
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}
