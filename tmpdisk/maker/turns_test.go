// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"context"
	"testing"
	"time"
)

func TestTurns(t *testing.T) {
	turns := &Turns{make(chan struct{}, 1), make(chan struct{}, 1), time.Hour}
	ctx, cancel := context.WithCancelCause(context.Background())
	take := func(wanted <-chan struct{}) func() {
		t.Helper()
		done, err := turns.take(ctx, wanted)
		if err != nil {
			t.Fatal(err)
		}
		return done
	}
	never, now := make(chan struct{}), make(chan struct{})
	close(now)
	for range 2 { // which gives back all that it takes
		ahead := take(never)
		client := take(now) // does not wait for the one that is made ahead
		client()
		client = take(now)
		ahead()
		ahead = take(never)
		client()
		ahead()
	}
	take(never)
	take(now)
	cancel(errStopped)
	for _, wanted := range []chan struct{}{never, now} {
		if _, err := turns.take(ctx, wanted); err != errStopped {
			t.Errorf("got %v, want %v", err, errStopped)
		}
	}
}

// mkfs that hang for other exports, and so keep all turns, are not waited for.
func TestTurnsStall(t *testing.T) {
	turns := &Turns{make(chan struct{}, 1), make(chan struct{}, 1), time.Millisecond}
	now := make(chan struct{})
	close(now)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for range 5 {
		if _, err := turns.take(ctx, now); err != nil {
			t.Fatal(err)
		}
	}
}
