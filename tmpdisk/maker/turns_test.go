// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"context"
	"testing"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestTurns(t *testing.T) {
	turns := &Turns{make(chan struct{}, 1), make(chan struct{}, 1), time.Hour, nil}
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
	turns := &Turns{make(chan struct{}, 1), make(chan struct{}, 1), time.Millisecond, nil}
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

// A client can name any number of sizes, whose mkfs must not all run after a stall.
func TestNamedTurnsWait(t *testing.T) {
	named := NewTurns().Named()
	now := make(chan struct{})
	close(now)
	for range cap(named.wanted) {
		_, err := named.take(context.Background(), now)
		testkit.Must(t, err)
	}
	if named.stall < 1000*time.Hour {
		t.Errorf("the next one goes ahead after %v", named.stall)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := named.take(ctx, now); err == nil {
		t.Error("got a turn too many")
	}
}
