// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
)

func TestTurnOfWhatHangs(t *testing.T) {
	turn, began, goOn := NewTurn(), make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancelCause(context.Background())
	gone := errors.New("the client has gone")
	first := make(chan error)
	go func() {
		first <- turn.Do(ctx, func() {
			close(began)
			<-goOn
		})
	}()
	<-began
	if ok, err := turn.Try(context.Background(), func() { t.Error("two have the turn") }); ok || err != nil {
		t.Errorf("while it hangs: got %v, %v, want false", ok, err)
	}
	second := make(chan error)
	go func() { second <- turn.Do(ctx, func() { t.Error("two have the turn") }) }()
	cancel(gone)
	for _, err := range []error{<-first, <-second} {
		if !errors.Is(err, gone) || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, gone)
		}
	}
	close(goOn)
	ran := false
	if err := turn.Do(context.Background(), func() { ran = true }); err != nil || !ran {
		t.Errorf("once it goes on: got %v, run: %v", err, ran)
	}
}

func TestTurnAfterAPanic(t *testing.T) {
	turn := NewTurn()
	func() {
		defer func() {
			if v := recover(); v != "oops" {
				t.Errorf("got %v, want oops", v)
			}
		}()
		turn.Do(context.Background(), func() { panic("oops") })
	}()
	if ok, err := turn.Try(context.Background(), func() {}); !ok || err != nil {
		t.Errorf("got %v, %v, want the turn", ok, err)
	}
}

func TestAskerOfWhatHangs(t *testing.T) {
	a, goOn := NewAsker(), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	said := 0
	hangs := func() { said++ }
	if a.Ask(ctx, func() { cancel(); <-goOn }, hangs) {
		t.Error("got an answer")
	}
	for range 3 { // who would wait for ever
		if a.Ask(context.Background(), func() { t.Error("asked while it hangs") }, hangs) {
			t.Error("got an answer")
		}
	}
	close(goOn)
	for !a.Ask(context.Background(), func() {}, hangs) {
	}
	if said != 1 {
		t.Errorf("it was said %d times that it hangs, want once", said)
	}
}

func TestContextError(t *testing.T) {
	cause := errors.New("nobody waits for it")
	ctx, cancel := context.WithCancelCause(context.Background())
	if err := ContextError(ctx); err != nil {
		t.Errorf("got %v before the end, want nil", err)
	}
	cancel(cause)
	const want = "nobody waits for it: context canceled"
	if err := ContextError(ctx); !errors.Is(err, context.Canceled) || !errors.Is(err, cause) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	plain, stop := context.WithCancel(context.Background())
	stop()
	if err := ContextError(plain); err != context.Canceled {
		t.Errorf("got %v without a cause, want %v", err, context.Canceled)
	}
}

func TestEach(t *testing.T) {
	for n := range 5 {
		var at, most, calls atomic.Int64
		Each(make([]int, n), 2, func(int) {
			if now := at.Add(1); now > 2 {
				most.Store(now)
			}
			calls.Add(1)
			runtime.Gosched()
			at.Add(-1)
		})
		if calls.Load() != int64(n) || at.Load() != 0 || most.Load() != 0 {
			t.Errorf("of %d: %d calls, %d go on, %d at a time", n, calls.Load(), at.Load(), most.Load())
		}
	}
}

func TestEachPanics(t *testing.T) {
	var ran atomic.Int64
	defer func() {
		if p := recover(); p != "two" || ran.Load() == 0 {
			t.Errorf("got the panic %v after %d others, want two", p, ran.Load())
		}
	}()
	Each([]int{1, 2, 3}, 2, func(n int) {
		if n == 2 {
			panic("two")
		}
		ran.Add(1)
	})
}
