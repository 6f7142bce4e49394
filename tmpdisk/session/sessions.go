// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Sessions are those of one server.
type Sessions struct {
	opts   Options
	keeper keeper
	drops  sync.WaitGroup // that go on

	looking sync.Mutex // before a lease's: see watch.go

	mu      sync.Mutex
	stopped bool
	ticking bool             // a tick goes on: one at a time, however many disks are due
	live    map[Key]*session // in somebody's hands: clients', or a drop's
	waiting *lines
	lost    *line        // since when
	told    map[Key]bool // see told.go
	stop    func()       // the timer's
}

// New returns sessions. It touches nothing yet.
func New(opts Options) *Sessions {
	if opts.now == nil {
		opts.now = time.Now
	}
	if opts.maxLost == 0 {
		opts.maxLost = maxLost
	}
	if opts.clock == nil {
		opts.clock = sys.ClockOr(nil).SinceBoot
	}
	if opts.after == nil {
		opts.after = func(d time.Duration, f func()) func() {
			t := time.AfterFunc(d, f)
			return func() { t.Stop() }
		}
	}
	s := &Sessions{opts: opts, live: map[Key]*session{}, waiting: newLines(), lost: newLine(), told: map[Key]bool{}, stop: func() {}}
	if opts.Dir == "" {
		s.keeper = newMemory()
	} else {
		s.keeper = &dir{opts: opts, name: sys.RandomName(), failed: generations{}, orphans: generations{}, takeovers: map[Key]takeover{}}
	}
	return s
}

// Start finds what earlier servers have left: their sessions' grace begins anew.
// It removes what is out of date. It must come before any other method.
func (s *Sessions) Start() error {
	found, lost, err := s.keeper.begin()
	if err != nil {
		return fmt.Errorf("parameter session-dir: %w", err)
	}
	for _, w := range found {
		if w.waits != nil {
			s.tellFound(*w.waits)
		}
	}
	s.mu.Lock()
	now := s.opts.now()
	for _, w := range found {
		s.waiting.push(w.key, now, w.grace)
	}
	for _, e := range lost {
		// By the monotonic clock: a clock that is set forward later, as after
		// a boot, forgets nothing.
		s.lost.push(e.key, now.Add(-max(now.Sub(e.since), 0)))
	}
	s.schedule()
	s.mu.Unlock()
	s.dropBeyond(s.opts.Max)
	s.forgetBeyond()
	return nil
}

// Open connects a client to the session of key, which is in export. The disk is
// what fresh returns if the session is new. The error is a *LostError if the
// session's disk is gone, and else fresh's, or says why the client must not
// come in now. It is ctx's if that ends first.
//
// The policy holds until the disk waits again. A client that comes while others
// are connected joins under theirs.
func (s *Sessions) Open(ctx context.Context, key Key, export string, policy Policy, fresh func(context.Context) (Disk, error)) (*Conn, error) {
	for {
		mine, first, err := s.join(key, policy)
		if err != nil {
			return nil, err
		}
		if first {
			return s.begin(ctx, mine, export, fresh)
		}
		if err := wait(ctx, mine.ready); err != nil {
			return nil, err
		}
		c, err := mine.attach()
		if !errors.Is(err, errEnded) {
			return c, err
		}
		if err := wait(ctx, mine.gone); err != nil {
			return nil, err
		}
	}
}

func wait(ctx context.Context, done <-chan struct{}) error {
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the session: %w", sys.ContextError(ctx))
	}
}

// join returns the session of key, or a new one that the caller has to fill.
func (s *Sessions) join(key Key, policy Policy) (_ *session, first bool, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil, false, errors.New("session: the server is to end")
	}
	if mine := s.live[key]; mine != nil {
		return mine, false, nil
	}
	return s.take(key, policy), true, nil
}

// take puts key into the caller's hands, until release. With mu.
func (s *Sessions) take(key Key, policy Policy) *session {
	mine := &session{
		key: key, policy: policy, sync: s.opts.Sync, keeper: s.keeper, logError: s.opts.LogError,
		ready: make(chan struct{}), gone: make(chan struct{}),
	}
	s.live[key] = mine
	return mine
}

// release takes key out of the caller's hands. With mu.
func (s *Sessions) release(mine *session) {
	delete(s.live, mine.key)
	close(mine.gone)
}

// begin fills mine with its disk, and connects its first client.
func (s *Sessions) begin(ctx context.Context, mine *session, export string, fresh func(context.Context) (Disk, error)) (c *Conn, err error) {
	err = errors.New("session: the disk's maker did not return") // it panicked
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			mine.ended = true // which nobody has seen yet
			s.release(mine)
		} else {
			s.waiting.remove(mine.key)
			delete(s.told, mine.key)
		}
		s.schedule() // which looks at nothing that is in somebody's hands
		close(mine.ready)
	}()
	held, got := s.obtain(ctx, mine, export, fresh)
	if err = got; err != nil {
		return nil, err
	}
	mine.held = held
	s.watch(mine)
	return mine.attach()
}

// obtain returns the disk that waits, or a fresh one.
func (s *Sessions) obtain(ctx context.Context, mine *session, export string, fresh func(context.Context) (Disk, error)) (*held, error) {
	key := mine.key
	h, err := s.keeper.resume(ctx, key)
	var gone *LostError
	switch {
	case err == nil:
		s.debugf(key, "resumed")
		return h, nil
	case errors.As(err, &gone):
		s.isLost(key)
		if !mine.policy.Fresh {
			return nil, err
		}
		s.opts.LogError(fmt.Sprintf("session %s: a fresh disk (session-lost=fresh): the old one is gone: %s", key.Short(), reasons[gone.Reason]))
		if err := s.forget(key); err != nil {
			return nil, err
		}
	case errors.Is(err, errElsewhere):
		s.tellGone(key)
		return nil, err
	case errors.Is(err, errUnknown):
		s.tellGone(key) // another server has dropped it and forgotten it
	default:
		return nil, err
	}
	d, err := fresh(ctx)
	if err != nil {
		return nil, err
	}
	h, err = s.keeper.create(ctx, key, export, d)
	if err != nil {
		return nil, err
	}
	s.debugf(key, "begun, in export %q", export)
	return h, nil
}

// Close disconnects a client. After the last one the disk waits, unless no
// client has ever used it; Options.Waits is called before Close returns.
func (s *Sessions) Close(c *Conn) {
	mine := c.session
	if !mine.detach(c) {
		return
	}
	h := mine.held
	h.lease.end()
	waits := false
	var err error
	switch {
	case mine.overtaken.Load():
		err = s.keeper.abandon(h, "")
	case mine.broken.Load():
		err = s.keeper.abandon(h, Failed)
		s.isLost(mine.key)
	case !h.used && !h.disk.Touched() && !mine.asked.Load():
		err = s.keeper.discard(h)
	default:
		h.used, waits = true, true
		if err = s.keeper.release(h); !errors.Is(err, errOvertaken) {
			s.tellWaits(mine.key)
		}
	}
	if err != nil {
		s.debugf(mine.key, "close: %v (ignored)", err)
	}
	s.mu.Lock()
	if waits {
		s.debugf(mine.key, "waits for its client for %v", mine.policy.Grace)
		s.waiting.push(mine.key, s.opts.now(), mine.policy.Grace)
	}
	s.release(mine)
	s.schedule()
	s.mu.Unlock()
	s.dropBeyond(s.opts.Max)
}

// Stop ends the sessions: those in memory are gone, those in a Dir wait there
// for the next server. The caller is told nothing more, but a call that has begun
// may still end.
func (s *Sessions) Stop() {
	s.mu.Lock()
	s.stopped = true
	s.stop()
	s.mu.Unlock()
	s.drops.Wait()
	s.keeper.stop()
}

func (s *Sessions) debugf(key Key, format string, args ...any) {
	s.opts.Debug("session " + key.Short() + ": " + fmt.Sprintf(format, args...))
}
