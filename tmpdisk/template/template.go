// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package template

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/logs"
	"nbdkit-tmpdisk-plugin/tmpdisk/overlay"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// A Maker makes disks, and does not know of templates. Its methods may be
// called from any number of goroutines.
type Maker interface {
	// Key names everything that is known to decide a disk's content, here
	// and now: 64 hexadecimal digits.
	Key() string
	// Fresh returns a disk that the command has made.
	Fresh(ctx context.Context) (*disk.Disk, error)
	// Filled returns the disk that fill has put at a path.
	Filled(ctx context.Context, fill func(ctx context.Context, path string) error) (*disk.Disk, error)
	// Shares returns a disk that shares the blocks of the file src, or nil where that
	// cannot be.
	Shares(ctx context.Context, src int) (*disk.Disk, error)
	// Over returns a disk over base.
	Over(ctx context.Context, base *overlay.Base) (*overlay.Disk, error)
}

// Options say where templates are, and how to talk about them.
type Options struct {
	Dir string // template-dir, absolute
	// Unattended is that of all Templates of the process.
	Unattended *Unattended
	Debug      func(string) // a line for nbdkit -v
	Error      func(string) // a line for the log
}

// Unattended is whether a build of a process goes on without anybody who waits for it.
type Unattended struct{ taken atomic.Bool }

// Templates makes disks by cloning what was made once and kept. Its methods
// may be called from any number of goroutines, and as many processes may use
// the same directory.
type Templates struct {
	opts    Options
	maker   Maker
	tryLock func(dir, string) (*os.File, error) // other than dir.tryLock in tests only

	ctx     context.Context // of builds
	cancel  context.CancelCauseFunc
	running sync.WaitGroup // builds

	mu     sync.Mutex
	newest *build        // that began last, until it has ended
	base   *overlay.Base // the template that disks stand on where they cannot share its blocks; or nil
	miss   miss
	full   logs.Fault  // nothing can be kept in template-dir
	pause  sys.Backoff // until it is tried again
}

func newPause() sys.Backoff { return sys.Backoff{First: time.Second, Last: time.Minute} }

// New returns templates of the disks that maker makes. It touches nothing yet.
// Whoever calls Make must call Stop in the end.
func New(opts Options, maker Maker) *Templates {
	t := &Templates{opts: opts, maker: maker, pause: newPause(), tryLock: dir.tryLock}
	t.ctx, t.cancel = context.WithCancelCause(context.Background())
	return t
}

// Stop ends the builds that go on, whose contexts get the cause why, and waits
// until they have ended. No call of Make may begin afterwards.
func (t *Templates) Stop(why error) {
	t.End(why)
	t.running.Wait()
	t.setBase(nil)
}

// End is Stop, but does not wait, and Make may be called still.
func (t *Templates) End(why error) { t.cancel(why) }

// errAlone says that a disk is to be made without a template.
var errAlone = errors.New("not worth a template")

// Make returns a new disk: a clone of the template, which is made first if
// there is none. The making goes on if ctx ends meanwhile.
func (t *Templates) Make(ctx context.Context) (disk.Interface, error) {
	pause := sys.Backoff{First: time.Millisecond, Last: 50 * time.Millisecond}
	for {
		d, err := t.try(ctx, t.maker.Key())
		switch {
		case errors.Is(err, errAlone):
			fresh, err := t.maker.Fresh(ctx)
			if err != nil {
				return nil, err
			}
			return fresh, nil
		case d != nil || err != nil && !errors.Is(err, errLocked):
			return d, err
		case err == nil:
			continue
		}
		// flock could not be told to stop waiting.
		select {
		case <-time.After(pause.Next()):
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for another to build the template: %w", sys.ContextError(ctx))
		}
	}
}

// try returns a clone, or what a build has made for the caller. It returns nil if that
// went to another caller. The error is errAlone if there is no point in a build, and
// errLocked if another process builds.
func (t *Templates) try(ctx context.Context, key string) (disk.Interface, error) {
	dir, err := openDir(t.opts.Dir, true)
	if lacksRoom(err) {
		t.notKept(key, err)
		return nil, errAlone
	}
	if err != nil {
		return nil, err
	}
	f, err := dir.template(key)
	if err == nil {
		defer dir.Close()
		return t.clone(ctx, dir, key, f)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		dir.Close()
		return nil, err
	}
	t.setBase(nil) // or the template that was removed would take space still
	b, err := t.join(dir, key)
	if lacksRoom(err) {
		t.notKept(key, err)
		return nil, errAlone
	}
	if err != nil {
		return nil, err
	}
	return b.wait(ctx)
}

// clone makes a disk of the template that f is open on, and closes f: one that shares its
// blocks, or stands on it. Whatever becomes of the template's name meanwhile, f stays what
// it is.
func (t *Templates) clone(ctx context.Context, dir dir, key string, f *os.File) (disk.Interface, error) {
	defer f.Close()
	began := time.Now()
	if err := dir.touch(key); err != nil {
		t.debugf(key, "note use: %v (ignored)", err)
	}
	base := t.standing(f)
	if base == nil {
		shares, err := t.maker.Shares(ctx, int(f.Fd()))
		if err != nil {
			return nil, fmt.Errorf("clone: %w", err)
		}
		if shares != nil {
			t.debugf(key, "hit, cloned by reflink, ready in %s", short(time.Since(began)))
			return shares, nil
		}
		if base, err = t.newBase(f, key); err != nil {
			return nil, err
		}
	}
	defer base.Release()
	d, err := t.maker.Over(ctx, base)
	if err != nil {
		return nil, err
	}
	t.debugf(key, "hit, shared, ready in %s", short(time.Since(began)))
	return d, nil
}

// standing is the template that f is open on if disks stand on it already, or nil: then
// its blocks cannot be shared. All such disks share one descriptor. The caller releases it.
func (t *Templates) standing(f *os.File) *overlay.Base {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.base == nil || !t.base.IsOpenOn(int(f.Fd())) {
		return nil
	}
	t.base.Hold()
	return t.base
}

// newBase has disks stand on the template that f is open on. The caller releases it.
func (t *Templates) newBase(f *os.File, key string) (*overlay.Base, error) {
	fd, err := sys.Dup(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	image, err := disk.FromFD(fd, t.opts.Debug)
	if err != nil {
		return nil, err
	}
	base, err := overlay.Own(image, f.Name(), "template "+key)
	if err != nil {
		return nil, err
	}
	base.Hold()
	t.setBase(base)
	return base, nil
}

// setBase has later disks stand on base, which may be nil, and takes over one use of it.
func (t *Templates) setBase(base *overlay.Base) {
	t.mu.Lock()
	last := t.base
	t.base = base
	t.mu.Unlock()
	if last != nil {
		last.Release()
	}
}

// cloneTo clones the file that src is open on to a new file at path.
func cloneTo(ctx context.Context, path string, src int) (sparse.Result, error) {
	dst, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return sparse.Result{}, fmt.Errorf("clone: %w", err)
	}
	r, err := sparse.Clone(ctx, int(dst.Fd()), src, sparse.Options{})
	if closeErr := dst.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("clone: %w", closeErr)
	}
	return r, err
}

// debugf names a template by the beginning of its key, as git names commits.
func (t *Templates) debugf(key, format string, args ...any) {
	t.opts.Debug(fmt.Sprintf("template %.12s: %s", key, fmt.Sprintf(format, args...)))
}

func short(d time.Duration) time.Duration { return d.Round(time.Microsecond) }
