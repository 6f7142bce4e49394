// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/logs"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp"
	"nbdkit-tmpdisk-plugin/tmpdisk/mold"
	"nbdkit-tmpdisk-plugin/tmpdisk/overlay"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// unwanted is how old a mkfs for which nobody waits must be to be ended when a client
// leaves: it hangs, and the next client has another chance. A younger one goes on, because
// a client that has a time limit of its own may come again.
const unwanted = 5 * time.Minute

var errUnwanted = fmt.Errorf("it has taken %v or more, and nobody waits for it any more", unwanted)

// maxMold is how many bytes of memory a mold may take, and how many may be written for
// each disk.
const maxMold = 8 << 20

// A Caster makes disks of a built-in type. mkfs runs once; what it wrote is
// the mold of all disks, each of which is given an identity of its own. Its
// methods may be called from any number of goroutines.
type Caster struct {
	maker  *Maker
	turns  *Turns
	slow   func()
	ctx    context.Context // of mkfs
	cancel context.CancelCauseFunc
	clock  sys.Clock

	ready atomic.Pointer[shape] // nil until mkfs has succeeded

	mu      sync.Mutex
	making  *attempt // nil while mkfs does not run
	stopped bool     // the base is for those alone who have it
	trying  int      // callers of Try, who say why no disk can ever be made
	given   int      // a disk that was made before the server's start; -1 if there is none
	fault   logs.Fault
}

// A shape is what disks are made from. In the zero shape there is nothing: mkfs
// runs for each disk.
type shape struct {
	mold  *mold.Mold    // nil if it is too large; then:
	base  *overlay.Base // is what disks stand on
	space int64         // of base, in bytes
	stamp *stamp.Stamp
}

// An attempt is one run of mkfs for a shape.
type attempt struct {
	wanted chan struct{} // closed when a client waits for it
	want   func()        // closes it
	ctx    context.Context
	cancel context.CancelCauseFunc
	began  time.Time
	waits  int           // clients, under the Caster's mu
	done   chan struct{} // closed when it has ended; then:
	err    error
}

// NewCaster returns a Caster of what m makes. slow is called once if disks are not
// cast from memory after all.
func NewCaster(m *Maker, turns *Turns, slow func()) *Caster {
	c := &Caster{maker: m, turns: turns, slow: slow, clock: sys.ClockOr(nil), given: -1}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	return c
}

// Start runs mkfs in the background if it has not been run.
func (c *Caster) Start() {
	given := c.maker.opts.Tried.take(c.maker)
	c.mu.Lock()
	c.given = given
	c.mu.Unlock()
	c.attempt(0)
}

// Try runs mkfs if it has not been run, and returns why no disk can ever be made. If that
// is not known in time, it returns nil, and mkfs goes on.
func (c *Caster) Try(ctx context.Context) error {
	try := func(n int) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.trying += n
	}
	try(1)
	defer try(-1)
	return c.maker.Never(c.Wait(ctx))
}

// Stop ends mkfs, for the reason why, and waits until it has ended. Disks that are being
// cast it does not wait for. Stopping twice is harmless.
func (c *Caster) Stop(why error) {
	c.End(why)
	c.mu.Lock()
	a := c.making
	c.mu.Unlock()
	if a != nil {
		<-a.done
	}
	c.mu.Lock()
	first := !c.stopped
	c.stopped = true
	c.mu.Unlock()
	if s := c.ready.Load(); first && s != nil && s.base != nil {
		s.base.Release()
	}
	if fd := c.takeGiven(); fd != -1 {
		unix.Close(fd)
	}
}

// End is Stop, but does not wait.
func (c *Caster) End(why error) { c.cancel(why) }

// Casts reports whether a disk can be had at once.
func (c *Caster) Casts() bool {
	s := c.ready.Load()
	return s != nil && s.stamp != nil
}

// Mold is how many bytes of memory the mold takes, 0 while there is none yet, and of one
// that is a file. ok is false if there is none after all.
func (c *Caster) Mold() (bytes int64, ok bool) {
	s := c.ready.Load()
	switch {
	case s == nil, s.base != nil:
		return 0, true
	case s.mold == nil:
		return 0, false
	}
	return s.mold.Kept(), true
}

// Space is how many bytes a mold takes that is a file.
func (c *Caster) Space() int64 {
	if s := c.ready.Load(); s != nil {
		return s.space
	}
	return 0
}

// Making reports whether mkfs is running, or waits for its turn.
func (c *Caster) Making() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.making != nil
}

// Wait waits until mkfs has been run.
func (c *Caster) Wait(ctx context.Context) error {
	for c.ready.Load() == nil {
		a := c.attempt(1)
		err := c.await(ctx, a)
		if !errors.Is(err, errUnwanted) {
			return err
		}
		// It was ending when this client came.
	}
	return nil
}

func (c *Caster) await(ctx context.Context, a *attempt) error {
	a.want()
	defer c.leave(a)
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
		return fmt.Errorf("wait for mkfs: %w", sys.ContextError(ctx))
	}
}

// Make returns a new disk. Wait must have succeeded.
func (c *Caster) Make(ctx context.Context) (disk.Interface, error) {
	if s := c.ready.Load(); s.stamp != nil {
		return c.cast(ctx, s)
	}
	return c.maker.Fresh(ctx)
}

// leave ends a's mkfs if it is unwanted without the client that leaves.
func (c *Caster) leave(a *attempt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if a.waits--; a.waits == 0 && c.clock.Now().Sub(a.began) >= unwanted {
		a.cancel(errUnwanted)
	}
}

// attempt is the run of mkfs that goes on, or a new one, which so many more clients
// wait for.
func (c *Caster) attempt(clients int) *attempt {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.making != nil {
		c.making.waits += clients
		return c.making
	}
	a := &attempt{wanted: make(chan struct{}), done: make(chan struct{}), began: c.clock.Now(), waits: clients}
	a.ctx, a.cancel = context.WithCancelCause(c.ctx)
	a.want = sync.OnceFunc(func() { close(a.wanted) })
	if c.ready.Load() != nil {
		close(a.done)
		return a
	}
	c.making = a
	go c.try(a)
	return a
}

func (c *Caster) try(a *attempt) {
	defer close(a.done)
	defer a.cancel(nil)
	shape, err := c.newShape(a)
	a.err = err
	c.mu.Lock()
	c.making = nil
	c.ready.Store(shape)
	first := err != nil && c.fault.Begins("mkfs") && (c.trying == 0 || c.maker.Never(err) == nil)
	c.mu.Unlock()
	switch {
	case err == nil && shape.stamp == nil:
		c.slow()
	case first && c.ctx.Err() == nil:
		// At the server's start there is no client to be told.
		c.maker.opts.Error(fmt.Sprintf("type %s: no disk can be made, each client that comes tries again: %v", c.maker.opts.Config.Type, err))
	}
}

// newShape runs mkfs, when it is its turn, and looks at what it wrote.
func (c *Caster) newShape(a *attempt) (*shape, error) {
	done, err := c.turns.take(a.ctx, a.wanted)
	if err != nil {
		return nil, fmt.Errorf("wait for mkfs: %w", err)
	}
	defer done()
	cfg := c.maker.opts.Config
	d, err := c.fresh(a.ctx)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	f, err := d.File()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := stamp.CheckSize(cfg.Type, cfg.Size, f); err != nil {
		return nil, err
	}
	s := &shape{}
	var image io.ReaderAt = f
	s.mold, err = mold.Read(f, maxMold)
	switch {
	case err == nil && s.mold.Written() == 0:
		return nil, errors.New("mkfs has written nothing to the disk: look at its options (mkfs-options)")
	case err == nil && s.mold.Written() <= maxMold:
		image = s.mold
	case err == nil:
		s.mold = nil
	case !errors.Is(err, mold.ErrTooLarge):
		return nil, err
	}
	s.stamp, err = stamp.New(cfg.Type, cfg.Size, image)
	if errors.Is(err, stamp.ErrNotUnderstood) {
		c.maker.opts.Error(fmt.Sprintf("type %s: mkfs runs for each disk: its result cannot be given other UUIDs: %v", cfg.Type, err))
		return &shape{}, nil
	}
	if err == nil && s.mold == nil {
		c.maker.opts.Debug(fmt.Sprintf("type %s: too large to be copied for each client: disks share a file", cfg.Type))
		if s.base, err = c.maker.keepAsBase(c.ctx, d); err == nil {
			s.space = int64(s.base.Space())
		}
	}
	if err != nil {
		return nil, err
	}
	return s, nil
}

// fresh is a disk that mkfs has made.
func (c *Caster) fresh(ctx context.Context) (*disk.Disk, error) {
	if fd := c.takeGiven(); fd != -1 {
		return disk.FromFD(fd, c.maker.opts.Debug)
	}
	return c.maker.Fresh(ctx)
}

func (c *Caster) takeGiven() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	fd := c.given
	c.given = -1
	return fd
}

// cast makes a disk of s, with an identity of its own.
func (c *Caster) cast(ctx context.Context, s *shape) (disk.Interface, error) {
	var id stamp.ID
	if _, err := rand.Read(id[:]); err != nil {
		return nil, fmt.Errorf("cast: random identity: %w", err)
	}
	patches := s.stamp.Patches(id)
	if s.base == nil {
		return c.maker.unnamed(ctx, true, func(fd int) error { return s.mold.Cast(fd, patches) })
	}
	if !c.hold(s.base) {
		return nil, errors.New("cast: the export has ended")
	}
	defer s.base.Release()
	d, err := c.maker.over(ctx, s.base, c.maker.opts.Config.Size)
	if err != nil {
		return nil, err
	}
	for _, p := range patches {
		if err := d.Patch(p.Off, p.Data); err != nil {
			return nil, errors.Join(fmt.Errorf("cast: %w", err), d.Close())
		}
	}
	return d, nil
}

// hold keeps base open for the caller, who calls Release; not once Stop has been called.
func (c *Caster) hold(base *overlay.Base) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.stopped {
		base.Hold()
	}
	return !c.stopped
}
