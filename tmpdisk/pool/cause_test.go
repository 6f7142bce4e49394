// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package pool

import (
	"context"
	"errors"
	"testing"
)

func TestPoolCauseOfCancelledMaker(t *testing.T) {
	tests := []struct {
		name string
		do   func(b *poolBench, c *client, other *fakeDisk)
		want error
		text string
	}{
		{"its client left", func(_ *poolBench, c *client, _ *fakeDisk) { c.cancel(); c.outcome() },
			ErrUnwanted, "nobody waits for the disk any more: context canceled"},
		{"its client was served with another's disk", func(b *poolBench, _ *client, other *fakeDisk) { b.Put(other) },
			ErrUnwanted, "nobody waits for the disk any more: context canceled"},
		{"the server stops", func(b *poolBench, _ *client, _ *fakeDisk) { b.Stop() },
			ErrStopped, "the server is shutting down: context canceled"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newPoolBench(t, Options[*fakeDisk]{Jobs: NewJobs(1)})
			holder := b.join()
			b.next().ok(1)
			other := holder.wants(1)
			c, m := b.join(), b.next()
			tt.do(b, c, other)
			got := context.Cause(m.ctx)
			if got != tt.want || tt.want.Error() != tt.text || !errors.Is(got, context.Canceled) {
				t.Errorf("got %v, want %s", got, tt.text)
			}
		})
	}
}

func TestPoolTellsClientsWhy(t *testing.T) {
	b := newPoolBench(t, Options[*fakeDisk]{Jobs: NewJobs(1)})
	leaver, waiting := b.join(), b.join()
	leaver.cancel()
	gone, cancel := context.WithCancelCause(context.Background())
	cancel(errLeft)
	_, before := b.Get(gone)
	got := map[string]error{"left while it waited": leaver.outcome().err, "left before it came": before}
	for what, err := range got {
		if !errors.Is(err, errLeft) || err.Error() != "open: the client left: context canceled" {
			t.Errorf("%s: got %v, want open: %v", what, err, errLeft)
		}
	}
	b.Stop()
	const want = "open: the server is shutting down: context canceled"
	if o := waiting.outcome(); !errors.Is(o.err, ErrStopped) || o.err.Error() != want {
		t.Errorf("waits when the pool stops: got %v, want %s", o.err, want)
	}
}
