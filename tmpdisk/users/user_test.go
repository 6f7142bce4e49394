// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package users

import (
	"context"
	"errors"
	"testing"
	"time"
)

func TestAcquireWaits(t *testing.T) {
	needRoot(t)
	pool := newPool("command-uids", &User{UID: testUID, GID: testUID})
	first, err := pool.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("out of patience"))
	const want = "command-uids: wait for a user that no command runs as: out of patience: context canceled"
	if _, err := pool.Acquire(ctx); !errors.Is(err, context.Canceled) || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	go func() {
		time.Sleep(10 * time.Millisecond)
		first.Release()
	}()
	second, err := pool.Acquire(context.Background())
	if err != nil || second != first {
		t.Errorf("got %v, %v, want the user that was released", second, err)
	}
	second.Release()
}
