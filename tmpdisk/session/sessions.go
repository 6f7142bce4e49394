// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/fsprobe"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/files"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/order"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/visit"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/writeback"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Sessions are those of one server.
type Sessions struct {
	opts  Options
	dir   *files.Dir
	drops sync.WaitGroup // that go on
	tells keep.Teller

	writeback *writeback.Queue
	hall      visit.Hall // of clients for whom sessions are begun

	looking sync.Mutex // see keep.Lease.Watch

	mu      sync.Mutex
	stopped bool
	ticking bool                  // a tick goes on: one at a time, however many disks are due
	live    map[keep.Key]*session // in somebody's hands: clients', or a drop's
	waiting *order.Waiters        // in nobody's
	lost    *order.Queue          // since when
	stop    func()                // the timer's
	repeats []func()              // those of every's timers
}

// New returns sessions. It touches nothing yet.
func New(opts Options) *Sessions {
	opts.Clock = sys.ClockOr(opts.Clock)
	if opts.maxLost == 0 {
		opts.maxLost = maxLost
	}
	if opts.Failed == nil {
		opts.Failed = func(keep.Key) {}
	}
	return &Sessions{
		opts: opts, dir: files.New(opts.Options), live: map[keep.Key]*session{}, waiting: order.NewWaiters(), lost: order.New(),
		writeback: writeback.New(opts.ask, opts.Debug), hall: visit.Hall{Patience: leavePatience},
		tells: keep.Teller{OnWaits: opts.Waits, OnGone: opts.Gone, OnFound: opts.Found}, stop: func() {},
	}
}

// Start finds what earlier servers have left: their sessions' grace begins anew.
// It removes what is out of date. It must come before any other method. It looks again
// now and then: for what could not be read, what other servers leave, what comes back.
func (s *Sessions) Start() error {
	err := s.find()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped { // the directory has hung
		return err
	}
	s.every(func() time.Duration { return touchEvery }, s.touch)
	if !s.opts.Sync {
		s.every(func() time.Duration { return askEvery }, s.askConnected)
	}
	pause := lookPause
	s.every(pause.Next, s.findMore)
	return err
}

// every calls f after each pause, until the sessions stop. With mu, at the start.
func (s *Sessions) every(pause func() time.Duration, f func()) {
	i := len(s.repeats)
	s.repeats = append(s.repeats, func() {})
	var again func()
	again = func() { // with mu
		s.repeats[i] = s.opts.Clock.AfterFunc(pause(), func() {
			f()
			s.mu.Lock()
			defer s.mu.Unlock()
			if !s.stopped {
				again()
			}
		})
	}
	again()
}

// lookPause is between two looks at the directory.
var lookPause = sys.Backoff{First: 10 * time.Second, Last: 10 * time.Minute}

func (s *Sessions) findMore() {
	if err := s.find(); err != nil {
		s.opts.Debug(fmt.Sprintf("session-dir: %v (ignored)", err))
	}
}

// find begins to count what is in the directory, but for what is known by now.
func (s *Sessions) find() error {
	found, lost, err := s.dir.Look(s.knows)
	if err != nil {
		return err
	}
	for _, f := range found {
		s.mu.Lock()
		if _, waits := s.waiting.All[f.Key]; waits || s.live[f.Key] != nil {
			s.mu.Unlock()
			continue
		}
		mine := s.takeIdle(f.Key)
		s.mu.Unlock()
		if f.Here {
			s.tells.Found(f.Waiting)
		}
		s.mu.Lock()
		s.waiting.Push(order.Waiter{Key: f.Key, Since: f.Since, Version: f.Version, Grace: f.Grace, Until: s.opts.Clock.Now().Add(f.Grace), Elsewhere: !f.Here, New: f.New})
		s.mu.Unlock()
		s.giveBack(mine)
	}
	s.mu.Lock()
	now := s.opts.Clock.Now()
	for _, n := range lost {
		// By the monotonic clock: a clock that is set forward later, as after
		// a boot, forgets nothing.
		s.lost.Push(n.Key, now.Add(-max(now.Sub(n.Since), 0)))
	}
	s.schedule()
	s.mu.Unlock()
	s.dropBeyond(s.opts.Max)
	s.forgetBeyond()
	return nil
}

// knows reports whether this server looks after the disk of key, or the note, already.
func (s *Sessions) knows(key keep.Key, disk bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, waits := s.waiting.All[key]
	return s.live[key] != nil || disk && waits || !disk && s.lost.Has(key)
}

// Open connects a client to the session of key, which is in export. The disk is
// what fresh returns if the session is new. The error is a *keep.LostError if the
// session's disk is gone, and else fresh's, or says why the client must not
// come in now. It is ctx's if that ends first.
//
// The policy holds until the disk waits again. A client that comes while others
// are connected joins under theirs.
func (s *Sessions) Open(ctx context.Context, key keep.Key, export string, policy Policy, fresh func(context.Context) (disk.Interface, error)) (*Conn, error) {
	for {
		mine, first, err := s.join(key, policy)
		if err != nil {
			return nil, err
		}
		if first {
			return visit.Do(ctx, &s.hall, &mine.client, func() (*Conn, error) {
				return s.begin(ctx, mine, export, fresh)
			}, s.opts.LogError)
		}
		if err := visit.Wait(ctx, mine.ready); err != nil {
			return nil, err
		}
		c, err := mine.attach()
		if !errors.Is(err, errEnded) {
			return c, err
		}
		if err := visit.Wait(ctx, mine.gone); err != nil {
			return nil, err
		}
	}
}

// join returns the session of key, or a new one that the caller has to fill.
func (s *Sessions) join(key keep.Key, policy Policy) (_ *session, first bool, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil, false, errors.New("session: the server is to end")
	}
	if mine := s.live[key]; mine != nil {
		return mine, false, nil
	}
	if s.hall.Left() >= mostLeft {
		return nil, false, fmt.Errorf("session-dir: %s: does not answer: %w", s.opts.Path, unix.EAGAIN)
	}
	return s.take(key, policy), true, nil
}

// mostLeft is how many sessions are begun at most whose clients have left, because the
// directory hangs: each takes a thread.
const mostLeft = 100

// leavePatience is how long a client that has gone waits for a directory that hangs.
const leavePatience = time.Second

// take puts key into the caller's hands, until release. With mu.
func (s *Sessions) take(key keep.Key, policy Policy) *session {
	mine := &session{
		key: key, policy: policy, sync: s.opts.Sync, logError: s.opts.LogError,
		ready: make(chan struct{}), gone: make(chan struct{}),
	}
	mine.waiter, mine.waited = s.waiting.Take(key)
	mine.known = mine.waited && !mine.waiter.New || s.lost.Has(key)
	mine.tellFailed, mine.seen = s.opts.Failed, mine.waiter.Seen
	if mine.seen == nil {
		mine.seen = new(writeback.Seen)
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
func (s *Sessions) begin(ctx context.Context, mine *session, export string, fresh func(context.Context) (disk.Interface, error)) (c *Conn, err error) {
	err = errors.New("session: the disk's maker did not return") // it panicked
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil {
			mine.ended = true // which nobody has seen yet
			if mine.waited {
				s.waiting.Push(mine.waiter)
			}
			s.release(mine)
		} else {
			s.tells.Taken(mine.key)
			s.lost.Remove(mine.key)
		}
		s.schedule()
		close(mine.ready)
	}()
	claim, got := s.obtain(ctx, mine, export, fresh)
	if err = got; err != nil {
		return nil, err
	}
	if !mine.client.Serve() {
		s.unclaim(mine, claim)
		err = visit.Wait(ctx, nil)
		return nil, err
	}
	mine.claim = claim
	claim.Lease.Watch(max(mine.policy.Grace/3, keep.LeaseTime), &s.looking, func() error { return s.look(mine) })
	return mine.attach()
}

// unclaim gives back a claim whose client has left before it could be served.
func (s *Sessions) unclaim(mine *session, claim *files.Claim) {
	end := claim.Release
	if !claim.Used {
		end = claim.Discard
	} else if !mine.waited {
		s.beginGrace(mine)
	}
	err := end()
	if errors.Is(err, keep.ErrUnwritten) {
		mine.waited = false
		err = errors.Join(err, s.abandon(mine.key, claim))
	}
	if err != nil {
		s.debugf(mine.key, "its client has left meanwhile: %v (ignored)", err)
	}
}

// beginGrace has the grace of a disk that is to wait begin now.
func (s *Sessions) beginGrace(mine *session) {
	now, grace := s.opts.Clock.Now(), mine.policy.Grace
	mine.waited, mine.waiter = true, order.Waiter{Key: mine.key, Since: now, Grace: grace, Until: now.Add(grace)}
}

// look looks after the lock of a disk, see keep.Lease.Watch.
func (s *Sessions) look(mine *session) error {
	err := mine.claim.Verify()
	if errors.Is(err, keep.ErrOvertaken) {
		mine.fail(err)
	} else if err != nil {
		s.debugf(mine.key, "%v (ignored)", err)
	}
	return err
}

// obtain returns the disk that waits, or a fresh one.
func (s *Sessions) obtain(ctx context.Context, mine *session, export string, fresh func(context.Context) (disk.Interface, error)) (*files.Claim, error) {
	key := mine.key
	claim, err := s.dir.Resume(ctx, key, mine.known)
	var gone *keep.LostError
	switch {
	case err == nil:
		s.debugf(key, "resumed")
		return claim, nil
	case errors.As(err, &gone):
		if err := s.lose(ctx, mine, gone); err != nil {
			return nil, err
		}
	case errors.Is(err, keep.ErrElsewhere):
		s.tells.Gone(key)
		return nil, err
	case errors.Is(err, keep.ErrUnknown):
	default:
		return nil, err
	}
	if ctx.Err() != nil { // there may be nobody any more to make a disk
		return nil, visit.Wait(ctx, nil)
	}
	d, err := fresh(ctx)
	if err != nil {
		return nil, err
	}
	claim, err = s.dir.Create(ctx, key, export, d)
	if err != nil {
		return nil, err
	}
	s.debugf(key, "begun, in export %q", export)
	return claim, nil
}

// lose returns gone, unless mine is to get a fresh disk in place of the lost one.
func (s *Sessions) lose(ctx context.Context, mine *session, gone *keep.LostError) error {
	switch {
	case !gone.Kept:
		mine.waited = false
		s.isLost(mine.key)
	case !mine.waited: // its grace begins now
		s.beginGrace(mine)
	}
	if !mine.policy.Fresh {
		return gone
	}
	s.opts.LogError(fmt.Sprintf("session %s: a fresh disk (session-lost=fresh): the old one is gone: %s", mine.key.Short(), gone.Reason))
	if err := s.dir.Replace(ctx, mine.key); err != nil {
		return err
	}
	mine.waited = false
	s.mu.Lock()
	s.lost.Remove(mine.key)
	s.mu.Unlock()
	s.tells.Gone(mine.key)
	return nil
}

// Close disconnects a client. After the last one the disk waits, unless no client has
// ever used it; Options.Waits is called before Close returns.
func (s *Sessions) Close(c *Conn) {
	mine := c.session
	if !mine.detach(c) {
		return
	}
	claim := mine.claim
	claim.Lease.End()
	waits := false
	var err error
	switch {
	case mine.overtaken.Load():
		err = claim.Abandon("")
	case mine.broken.Load():
		err = s.abandon(mine.key, claim)
	case !mine.used():
		err = claim.Discard()
	default:
		waits, err = s.letWait(mine)
	}
	if err != nil {
		s.debugf(mine.key, "close: %v (ignored)", err)
	}
	s.mu.Lock()
	if grace := mine.policy.Grace; waits {
		s.debugf(mine.key, "waits for its client for %v", grace)
		now := s.opts.Clock.Now()
		s.waiting.Push(order.Waiter{Key: mine.key, Since: now, Version: claim.Version(), Grace: grace, Until: now.Add(grace), Seen: mine.seen})
	}
	s.release(mine)
	s.schedule()
	s.mu.Unlock()
	s.dropBeyond(s.opts.Max)
}

// abandon has the disk that the filesystem failed be lost.
func (s *Sessions) abandon(key keep.Key, claim *files.Claim) error {
	err := claim.Abandon(keep.Failed)
	s.isLost(key)
	return err
}

// letWait gives the disk back, or removes it if the filesystem failed it.
func (s *Sessions) letWait(mine *session) (waits bool, err error) {
	fd := mine.duplicate()
	err = mine.claim.Release()
	if waits = !errors.Is(err, keep.ErrUnwritten); !waits {
		if !mine.failed.Load() {
			s.opts.LogError(fmt.Sprintf("session %s: %v", mine.key.Short(), err))
			s.opts.Failed(mine.key)
		}
		err = s.abandon(mine.key, mine.claim)
	} else if !errors.Is(err, keep.ErrOvertaken) {
		s.tells.Waits(mine.key)
	}
	switch {
	case fd < 0:
	case waits && mine.claim.Lease == nil: // else Release has asked
		s.askLater(mine, fd)
	default:
		unix.Close(fd)
	}
	return waits, err
}

// Filesystem returns what that of the directory can do. ok is false if it could not be
// tried yet.
func (s *Sessions) Filesystem() (r fsprobe.Result, ok bool) { return s.dir.Filesystem() }

// Stop ends the sessions: their disks wait for the next server, those of connected clients
// too. The caller is told nothing more, but a call that has begun may still end.
func (s *Sessions) Stop() {
	s.mu.Lock()
	var live []*session
	if s.opts.Sync && !s.stopped {
		live = slices.Collect(maps.Values(s.live))
	}
	s.stopped = true
	s.stop()
	for _, stop := range s.repeats {
		stop()
	}
	s.tells.Stop()
	s.mu.Unlock()
	sys.Each(live, 16, s.syncConnected)
	s.writeback.Stop()
	s.drops.Wait()
	s.dir.Close()
}

func (s *Sessions) debugf(key keep.Key, format string, args ...any) {
	s.opts.Debug("session " + key.Short() + ": " + fmt.Sprintf(format, args...))
}
