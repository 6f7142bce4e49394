// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package visit

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// A Visit is one client's wait. The zero value is one that goes on.
type Visit struct{ state atomic.Int32 }

// The states of a Visit.
const (
	waits = int32(iota)
	served
	left
)

// Serve ends the wait, unless the client has left: then it returns false, and what was
// done for the client is to be undone.
func (v *Visit) Serve() bool { return v.state.CompareAndSwap(waits, served) }

// Leave ends the wait, unless the client is served: then it returns false.
func (v *Visit) Leave() bool { return v.state.CompareAndSwap(waits, left) }

// A Hall counts what goes on though its client has left.
type Hall struct {
	// Patience is how long something may take to end by itself whose client has gone.
	Patience time.Duration

	left atomic.Int64
}

// Left is how many go on.
func (h *Hall) Left() int { return int(h.left.Load()) }

// await returns true when done is closed, or false when ctx has ended and patience is over.
func (h *Hall) await(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
	}
	select {
	case <-done:
		return true
	case <-time.After(h.Patience):
		return false
	}
}

// Do runs f in a goroutine of its own, and returns what f returns. If ctx ends before f has
// called v.Serve or returned, nor does soon, the client leaves, and Do returns ctx's error.
// f goes on then. A panic in f is one of Do, or is given to panicked if the client has left.
func Do[T any](ctx context.Context, h *Hall, v *Visit, f func() (T, error), panicked func(string)) (T, error) {
	var got struct {
		value    T
		err      error
		panicked string
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				got.panicked = fmt.Sprintf("%v\n%s", p, debug.Stack())
			}
			if v.Serve() || v.state.Load() == served {
				return
			}
			h.left.Add(-1)
			if got.panicked != "" {
				panicked(got.panicked)
			}
		}()
		got.value, got.err = f()
	}()
	if !h.await(ctx, done) {
		if v.Leave() {
			h.left.Add(1)
			var none T
			return none, fmt.Errorf("wait for the session: %w", sys.ContextError(ctx))
		}
		<-done
	}
	if got.panicked != "" {
		panic(got.panicked)
	}
	return got.value, got.err
}

// Wait returns nil when done is closed, or ctx's error if that ends first.
func Wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the session: %w", sys.ContextError(ctx))
	}
}
