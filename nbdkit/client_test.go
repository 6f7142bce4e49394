// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package nbdkit

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Here there is no server, so no client that could go.
func TestWithClient(t *testing.T) {
	failed := errors.New("failed")
	for _, want := range []error{nil, failed} {
		got, err := WithClient(func(ctx context.Context) (int, error) {
			// Longer than until nbdkit is asked for the first time.
			time.Sleep(20 * time.Millisecond)
			return 42, errors.Join(want, ctx.Err())
		})
		if got != 42 || !errors.Is(err, want) || (err == nil) != (want == nil) {
			t.Errorf("got %d, %v, want 42, %v", got, err, want)
		}
	}
}

func panicOnPurpose(context.Context) (int, error) { panic("on purpose") }

func TestWithClientPanic(t *testing.T) {
	defer func() {
		got := fmt.Sprint(recover())
		for _, want := range []string{"on purpose", "nbdkit.panicOnPurpose"} {
			if !strings.Contains(got, want) {
				t.Errorf("got panic %q, want %q in it", got, want)
			}
		}
	}()
	got, err := WithClient(panicOnPurpose)
	t.Errorf("got %d, %v, want a panic", got, err)
}

func TestWithClientCauses(t *testing.T) {
	if errors.Is(ErrClientGone, ErrServerEnding) {
		t.Error("the causes cannot be told apart")
	}
	for _, err := range []error{ErrClientGone, ErrServerEnding} {
		if got, ok := errnoOf(err); got != syscall.ESHUTDOWN || !ok {
			t.Errorf("errno of %q: got %v, want ESHUTDOWN", err, got)
		}
	}
}
