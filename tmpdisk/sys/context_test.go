// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"context"
	"errors"
	"testing"
)

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
