// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// A Turn is for what may hang, such as asking a filesystem whose server is dead. One
// caller has it at a time, so what hangs takes one thread, however many come.
type Turn chan struct{}

// NewTurn returns a Turn that nobody has.
func NewTurn() Turn { return make(Turn, 1) }

// Do runs f in a goroutine of its own when the turn has come, and returns once f has.
// If ctx ends first, Do returns its error. f goes on if it had begun, and has the turn
// until it returns: what it changes must be safe against that. A panic in f is one of
// Do, or of nobody.
func (t Turn) Do(ctx context.Context, f func()) error {
	select {
	case t <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("wait for an answer: %w", ContextError(ctx))
	}
	return t.run(ctx, f)
}

// Try is Do, but does nothing and returns false if somebody has the turn.
func (t Turn) Try(ctx context.Context, f func()) (ok bool, err error) {
	select {
	case t <- struct{}{}:
		return true, t.run(ctx, f)
	default:
		return false, nil
	}
}

// run runs f, and gives the turn back once f has returned.
func (t Turn) run(ctx context.Context, f func()) error {
	done := make(chan any, 1)
	go func() {
		defer func() {
			<-t
			done <- recover()
		}()
		f()
	}()
	select {
	case panicked := <-done:
		if panicked != nil {
			panic(panicked)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for an answer: %w", ContextError(ctx))
	}
}

// An Asker asks what may hang, one at a time, for those who can do without the answer.
type Asker struct {
	turn  Turn
	hangs atomic.Bool
}

// NewAsker returns an Asker whose questions have been answered so far.
func NewAsker() *Asker { return &Asker{turn: NewTurn()} }

// Ask runs f in a goroutine of its own, and returns true when f has returned, or false
// when ctx ends. f goes on then; see [Turn.Do]. As long as such an f hangs, Ask returns
// false at once. hangs, if not nil, is called when that begins. So ctx must be one that
// ends because f hangs, and not one of a client, who may leave at any time.
func (a *Asker) Ask(ctx context.Context, f, hangs func()) bool {
	ask := func() {
		defer a.hangs.Store(false)
		f()
	}
	if a.hangs.Load() {
		ok, err := a.turn.Try(ctx, ask)
		return ok && err == nil
	}
	err := a.turn.Do(ctx, ask)
	if err != nil && a.hangs.CompareAndSwap(false, true) && hangs != nil {
		hangs()
	}
	return err == nil
}

// Hangs reports whether what was asked last has not been answered in time, nor since.
func (a *Asker) Hangs() bool { return a.hangs.Load() }

// ContextError is ctx.Err with the cause that was given to cancel, if there
// is one: `the client has gone: context canceled`. nil if ctx has not ended.
func ContextError(ctx context.Context) error {
	err := ctx.Err()
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); !errors.Is(cause, err) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// Each calls f for each of all, for so many at a time, and returns when all have returned.
// If one of them panics, so does Each then.
func Each[T any](all []T, most int, f func(T)) {
	var next atomic.Int64
	var panicked atomic.Pointer[any]
	var done sync.WaitGroup
	for range min(most, len(all)) {
		done.Add(1)
		go func() {
			defer done.Done()
			defer func() {
				if p := recover(); p != nil {
					panicked.CompareAndSwap(nil, &p)
				}
			}()
			for i := next.Add(1) - 1; i < int64(len(all)); i = next.Add(1) - 1 {
				f(all[i])
			}
		}()
	}
	done.Wait()
	if p := panicked.Load(); p != nil {
		panic(*p)
	}
}
