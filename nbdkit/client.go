// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"
)

// Why the context of [WithClient] has ended. Both wrap [syscall.ESHUTDOWN].
var (
	ErrClientGone   error = ended("the client has gone")
	ErrServerEnding error = ended("the server is to end")
)

type ended string

func (e ended) Error() string { return string(e) }

func (ended) Unwrap() error { return syscall.ESHUTDOWN }

// WithClient is for a callback whose work may take long: it runs f and returns
// what f returns. The context ends as soon as the client whose callback this is
// has gone, or the server is to end; "as soon" is a quarter of a second at
// worst. [context.Cause] is then ErrClientGone or ErrServerEnding. f must come
// to an end by itself: WithClient waits for it.
//
// What f returns stands, even if the client has gone meanwhile. A connection
// that Open returns to a client that has gone is closed soon.
//
// f runs in a goroutine of its own, where [ExportName] and the like do not work.
// A panic in it is one of the callback.
func WithClient[T any](f func(context.Context) (T, error)) (result T, err error) {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	var panicked any
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				panicked = fmt.Sprintf("%v\n%s", v, debug.Stack())
			}
		}()
		result, err = f(ctx)
	}()
	if cause := waitWithClient(done); cause != nil {
		cancel(cause)
		<-done
	}
	if panicked != nil {
		panic(panicked)
	}
	return result, err
}

// waitWithClient returns nil when done is closed, or before that the reason not
// to wait any longer.
func waitWithClient(done <-chan struct{}) error {
	// nbdkit has no descriptor to wait for, only nbdkit_nanosleep, which can
	// wait for the client and the server but not for done. So done is waited
	// for here, and the other two are looked at from time to time: less and
	// less often, for there may be a thousand callbacks waiting.
	const first, last = 10 * time.Millisecond, 200 * time.Millisecond
	interval := first
	look := time.NewTimer(interval)
	defer look.Stop()
	for {
		select {
		case <-done:
			return nil
		case <-look.C:
		}
		if errors.Is(Nanosleep(0), syscall.ESHUTDOWN) {
			return whyShutDown()
		}
		interval = min(2*interval, last)
		look.Reset(interval)
	}
}

// serverEnds spares the log a second message for each client.
var serverEnds atomic.Bool

// whyShutDown asks again on a thread that has no client, where only the end of the
// server counts.
func whyShutDown() error {
	if !serverEnds.Load() {
		answer := make(chan error)
		go func() { answer <- Nanosleep(0) }()
		if !errors.Is(<-answer, syscall.ESHUTDOWN) {
			return ErrClientGone
		}
		serverEnds.Store(true)
	}
	return ErrServerEnding
}
