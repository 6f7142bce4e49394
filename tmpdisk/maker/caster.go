// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/logs"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp"
	"nbdkit-tmpdisk-plugin/tmpdisk/mold"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// maxMold is how many bytes of memory a mold may take.
const maxMold = 8 << 20

// A Caster makes disks of a built-in type. mkfs runs once; what it wrote is
// the mold of all disks, each of which is given an identity of its own. Its
// methods may be called from any number of goroutines.
type Caster struct {
	maker  *Maker
	turns  *Turns
	slow   func()
	ctx    context.Context // of mkfs, which no client's leaving ends
	cancel context.CancelCauseFunc

	ready atomic.Pointer[shape] // nil until mkfs has succeeded

	mu     sync.Mutex
	making *attempt // nil while mkfs does not run
	fault  logs.Fault
}

// A shape is what disks are made from. In the zero shape there is nothing: mkfs
// runs for each disk.
type shape struct {
	mold  *mold.Mold // nil if it were too large; then:
	file  *disk.Disk // is cloned
	stamp *stamp.Stamp
}

// An attempt is one run of mkfs for a shape.
type attempt struct {
	wanted chan struct{} // closed when a client waits for it
	want   func()        // closes it
	done   chan struct{} // closed when it has ended; then:
	err    error
}

// NewCaster returns a Caster of what m makes. slow is called once if disks are not
// cast from memory after all.
func NewCaster(m *Maker, turns *Turns, slow func()) *Caster {
	c := &Caster{maker: m, turns: turns, slow: slow}
	c.ctx, c.cancel = context.WithCancelCause(context.Background())
	return c
}

// Start runs mkfs in the background if it has not been run.
func (c *Caster) Start() { c.attempt() }

// Stop ends mkfs, for the reason why, and waits until it has ended.
func (c *Caster) Stop(why error) {
	c.End(why)
	c.mu.Lock()
	a := c.making
	c.mu.Unlock()
	if a != nil {
		<-a.done
	}
	if s := c.ready.Load(); s != nil && s.file != nil {
		s.file.Close()
	}
}

// End is Stop, but does not wait.
func (c *Caster) End(why error) { c.cancel(why) }

// Casts reports whether a disk can be had at once, from memory.
func (c *Caster) Casts() bool {
	s := c.ready.Load()
	return s != nil && s.mold != nil
}

// Mold is how many bytes of memory the mold takes, 0 while there is none yet. ok
// is false if disks are not cast from memory after all.
func (c *Caster) Mold() (bytes int64, ok bool) {
	s := c.ready.Load()
	switch {
	case s == nil:
		return 0, true
	case s.mold == nil:
		return 0, false
	}
	return s.mold.Kept(), true
}

// Making reports whether mkfs is running, or waits for its turn.
func (c *Caster) Making() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.making != nil
}

// Wait waits until mkfs has been run.
func (c *Caster) Wait(ctx context.Context) error {
	if c.ready.Load() != nil {
		return nil
	}
	a := c.attempt()
	a.want()
	select {
	case <-a.done:
		return a.err
	case <-ctx.Done():
		return fmt.Errorf("wait for mkfs: %w", sys.ContextError(ctx))
	}
}

// Make returns a new disk. Wait must have succeeded.
func (c *Caster) Make(ctx context.Context) (*disk.Disk, error) {
	if s := c.ready.Load(); s.stamp != nil {
		return c.cast(ctx, s)
	}
	return c.maker.Fresh(ctx)
}

// attempt is the run of mkfs that goes on, or a new one.
func (c *Caster) attempt() *attempt {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.making != nil {
		return c.making
	}
	a := &attempt{wanted: make(chan struct{}), done: make(chan struct{})}
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
	shape, err := c.newShape(a.wanted)
	a.err = err
	c.mu.Lock()
	c.making = nil
	c.ready.Store(shape)
	first := err != nil && c.fault.Begins("mkfs")
	c.mu.Unlock()
	switch {
	case err == nil && shape.mold == nil:
		c.slow()
	case first && c.ctx.Err() == nil:
		// At the server's start there is no client to be told.
		c.maker.opts.Error(fmt.Sprintf("type %s: no disk can be made, each client that comes tries again: %v", c.maker.opts.Config.Type, err))
	}
}

// newShape runs mkfs, when it is its turn, and looks at what it wrote.
func (c *Caster) newShape(wanted <-chan struct{}) (*shape, error) {
	done, err := c.turns.take(c.ctx, wanted)
	if err != nil {
		return nil, fmt.Errorf("wait for mkfs: %w", err)
	}
	defer done()
	cfg := c.maker.opts.Config
	d, err := c.maker.Fresh(c.ctx)
	if err != nil {
		return nil, err
	}
	s := &shape{}
	f, err := d.File()
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	// The disk is closed last: that may have to wait until nobody has its file.
	defer func() {
		f.Close()
		if s.file == nil {
			d.Close()
		}
	}()
	var image io.ReaderAt = f
	s.mold, err = mold.Read(f, maxMold)
	switch {
	case err == nil:
		image = s.mold
	case errors.Is(err, mold.ErrTooLarge):
		s.file = d
		c.maker.opts.Debug(fmt.Sprintf("type %s: %v: disks are cloned from a file", cfg.Type, err))
	default:
		return nil, err
	}
	s.stamp, err = stamp.New(cfg.Type, cfg.Size, image)
	if err == nil {
		return s, nil
	}
	s.file = nil
	if !errors.Is(err, stamp.ErrNotUnderstood) {
		return nil, err
	}
	c.maker.opts.Error(fmt.Sprintf("type %s: mkfs runs for each disk: its result cannot be given other UUIDs: %v", cfg.Type, err))
	return &shape{}, nil
}

// cast makes a disk of s in a file that never had a name, or, on a filesystem
// without such files, in a private directory.
func (c *Caster) cast(ctx context.Context, s *shape) (*disk.Disk, error) {
	fd, err := sparse.Unnamed(c.maker.opts.Dir, true)
	if errors.Is(err, errors.ErrUnsupported) {
		return c.maker.Filled(ctx, func(ctx context.Context, path string) error {
			return s.fillFile(ctx, path)
		})
	}
	if err != nil {
		return nil, err
	}
	if err := s.fill(ctx, fd); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return disk.FromFD(fd, c.maker.opts.Debug)
}

func (s *shape) fillFile(ctx context.Context, path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("cast: %w", err)
	}
	defer f.Close()
	sparse.WriteInPlace(int(f.Fd()))
	return s.fill(ctx, int(f.Fd()))
}

// fill gives the empty file fd the content of s with an identity of its own.
func (s *shape) fill(ctx context.Context, fd int) error {
	var id stamp.ID
	if _, err := rand.Read(id[:]); err != nil {
		return fmt.Errorf("cast: random identity: %w", err)
	}
	patches := s.stamp.Patches(id)
	if s.mold != nil {
		return s.mold.Cast(fd, patches)
	}
	if _, err := sparse.Clone(ctx, fd, s.file.FD(), sparse.Options{}); err != nil {
		return err
	}
	return mold.Patch(fd, patches)
}
