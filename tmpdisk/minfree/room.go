// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package minfree

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// A room is what is known of the disks that were dropped to make room.
type room struct {
	turn     chan struct{} // of who looks and drops: one at a time
	dropping sys.Turn      // of a drop, which outlives its caller where it hangs
	now      func() time.Time
	sleep    func(context.Context, time.Duration) error

	mu      sync.Mutex // is held for no longer than it takes to look at these
	dropped uint64     // bytes, by the last drops
	before  uint64     // bytes were free before these
	seen    uint64     // bytes more have been free since
	last    time.Time  // when the last of these was
	vain    time.Time  // until then nothing is dropped, because they gave nothing; or zero
	backoff sys.Backoff
}

const (
	// patience is how long it may take until what was dropped is free: on xfs a
	// moment, on btrfs as long as its next transaction.
	patience = 2 * time.Second
	pause    = 20 * time.Millisecond
	// dropPatience is how long a drop may take.
	dropPatience = 10 * time.Second
	// A drop that claims to free next to nothing of what is missing was of an empty
	// disk, or of one that another server has. So many in a row are in vain.
	emptyDrops, nextToNothing = 4, 1.0 / 256
	// A drop that has freed less than this part of what it claimed was of a disk that
	// shared its blocks with others (clones of a template), as the next one may.
	hardlyAny = 16
	// After drops in vain, none comes for so long.
	firstVain, lastVain = time.Minute, time.Hour
)

func newRoom() room {
	return room{
		turn: make(chan struct{}, 1), dropping: sys.NewTurn(), now: time.Now, sleep: sleep,
		backoff: newBackoff(),
	}
}

func newBackoff() sys.Backoff { return sys.Backoff{First: firstVain, Last: lastVain} }

// Ensure is [Spaces.Check], but what nobody uses in dropDir goes first: drop removes
// the oldest of it and returns how many bytes that frees, as far as is known; ok is
// false if there is nothing, or all of it is less than what is missing. It is called only where it helps, and by one caller of
// Ensure at a time. Whether a drop has freed space the filesystem is asked: it may do
// so some time later (xfs, btrfs), which Ensure waits for, or not at all.
func (s *Spaces) Ensure(ctx context.Context, l Limit, dirs []string, dropDir string, drop func(missing uint64) (freed uint64, ok bool)) error {
	r := &s.room
	if err := s.Check(ctx, l, dirs...); !errors.Is(err, ErrTooLittle) {
		return err
	}
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
	case <-ctx.Done():
		return fmt.Errorf("wait for space: %w", sys.ContextError(ctx))
	}
	var short *shortage
	for empty := 0; ; {
		err := s.Check(ctx, l, dirs...)
		if err == nil && short != nil {
			r.look(short.want) // so much is free at the least
		}
		if !errors.As(err, &short) || !s.sameFilesystem(ctx, short.dir, dropDir) {
			return err
		}
		missing := short.want - short.free
		pending, known := r.look(short.free)
		if wait := pending >= missing || !known; !wait {
			if r.inVain() {
				return fmt.Errorf("%w: what was dropped for it has freed next to nothing, because its blocks are shared (as those of clones are), or others took them", err)
			}
			freed, ok := r.drop(ctx, short.free, func() (uint64, bool) { return drop(missing - pending) })
			switch {
			case !ok && pending == 0 && ctx.Err() == nil:
				return err
			case ok && float64(freed) < nextToNothing*float64(missing):
				if empty++; empty == emptyDrops {
					r.setVain()
				}
				continue
			case ok:
				empty = 0
				continue
			}
		}
		if err := r.sleep(ctx, pause); err != nil {
			return fmt.Errorf("wait for space: %w", err)
		}
	}
}

// look is how many bytes more will be free, because of what was dropped, if so many
// are now. known is false as long as it may yet turn out that most of it is not.
func (r *room) look(free uint64) (pending uint64, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dropped == 0 {
		return 0, true
	}
	r.seen = max(r.seen, free-min(free, r.before))
	waited := r.now().Sub(r.last)
	if 2*r.seen >= r.dropped {
		r.vain, r.backoff = time.Time{}, newBackoff()
	} else if waited >= patience && waited < 2*patience && hardlyAny*r.seen < r.dropped && r.vain.IsZero() {
		r.vain = r.now().Add(r.backoff.Next())
	}
	if waited < patience {
		return r.dropped - min(r.seen, r.dropped), 2*r.seen >= r.dropped
	}
	if r.vain.IsZero() {
		r.dropped = 0 // it gave what it gave
	}
	return 0, true
}

// inVain is whether the last drops have given nothing, and that not long ago.
func (r *room) inVain() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now().Before(r.vain)
}

// setVain books that several drops have given next to nothing.
func (r *room) setVain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.dropped = 0
	r.vain = r.now().Add(r.backoff.Next())
}

// drop calls drop, before which so many bytes are free. While an earlier one hangs, ok
// is false.
func (r *room) drop(ctx context.Context, free uint64, drop func() (uint64, bool)) (freed uint64, ok bool) {
	type result struct {
		freed uint64
		ok    bool
	}
	ctx, cancel := context.WithTimeout(ctx, dropPatience)
	defer cancel()
	got := make(chan result, 1)
	ran, err := r.dropping.Try(ctx, func() {
		freed, ok := drop()
		if ok && freed > 0 {
			r.book(freed, free) // whether or not its caller still waits
		}
		got <- result{freed, ok}
	})
	if !ran || err != nil {
		return 0, false
	}
	now := <-got
	return now.freed, now.ok
}

func (r *room) book(freed, free uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dropped == 0 || !r.vain.IsZero() {
		r.dropped, r.before, r.seen, r.vain = 0, free, 0, time.Time{}
	}
	r.dropped += freed
	r.last = r.now()
}

// sleep returns early, with an error, when ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return sys.ContextError(ctx)
	}
}
