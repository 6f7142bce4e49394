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
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
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
}

// Options say where templates are, and how to talk about them.
type Options struct {
	Dir  string        // template-dir, absolute
	Keep time.Duration // unused ones are removed after it; 0 is never
	// Unattended is that of all Templates of the process; nil is of this one alone.
	Unattended *Unattended
	Debug      func(string) // a line for nbdkit -v
	Error      func(string) // a line for the log
}

// Templates makes disks by cloning what was made once and kept. Its methods
// may be called from any number of goroutines, and as many processes may use
// the same directory.
type Templates struct {
	opts  Options
	maker Maker

	ctx     context.Context // of builds
	cancel  context.CancelCauseFunc
	running sync.WaitGroup // builds

	mu     sync.Mutex
	builds map[string]*build // that run in this process, by key
	newest *build
	// unfit is the key of what was found not to make a template. Nobody
	// then waits for it to be built, nor is it looked for.
	unfit string
	// failing is the key whose last build left no template. Nobody then
	// waits for the next one, which will most likely leave none as well.
	// Those who cannot build make a disk for themselves, all at a time, and
	// get their own errors. The next build that leaves a template ends it.
	failing string
	short   shortage
}

// New returns templates of the disks that maker makes. It touches nothing yet.
// Whoever calls Make must call Stop in the end.
func New(opts Options, maker Maker) *Templates {
	if opts.Unattended == nil {
		opts.Unattended = &Unattended{}
	}
	t := &Templates{opts: opts, maker: maker, builds: map[string]*build{}}
	t.ctx, t.cancel = context.WithCancelCause(context.Background())
	return t
}

// Stop ends the builds that go on, whose contexts get the cause why, and waits
// until they have ended. No call of Make may begin afterwards.
func (t *Templates) Stop(why error) {
	t.cancel(why)
	t.running.Wait()
}

// errAlone says that a disk is to be made without a template.
var errAlone = errors.New("not worth a template")

// Make returns a new disk: a clone of the template, which is made first if
// there is none. The making goes on if ctx ends meanwhile.
func (t *Templates) Make(ctx context.Context) (*disk.Disk, error) {
	pause := sys.Backoff{First: time.Millisecond, Last: 50 * time.Millisecond}
	for waited := false; ; {
		key := t.maker.Key()
		d, b, err := t.cloneOrJoin(ctx, key)
		switch {
		case errors.Is(err, errAlone):
			return t.maker.Fresh(ctx)
		case errors.Is(err, errLocked):
			if !waited {
				t.debugf(key, "being built by another")
			}
			waited = true
			if err := sleep(ctx, pause.Next()); err != nil {
				return nil, fmt.Errorf("wait for another to build the template: %w", err)
			}
			continue
		case b != nil:
			d, err = b.wait(ctx)
		}
		if d != nil || err != nil {
			return d, err
		}
	}
}

// cloneOrJoin returns a clone, or the build to wait for. The error is errAlone
// or errLocked if there is neither.
func (t *Templates) cloneOrJoin(ctx context.Context, key string) (*disk.Disk, *visit, error) {
	if t.isUnfit(key) {
		return nil, nil, errAlone
	}
	dir, err := openDir(t.opts.Dir, true)
	if lacksRoom(err) {
		t.notKept(key, err)
		return nil, nil, errAlone
	}
	if err != nil {
		return nil, nil, err
	}
	f, err := dir.template(key)
	if err == nil {
		defer dir.Close()
		d, err := t.clone(ctx, dir, key, f)
		return d, nil, err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		dir.Close()
		return nil, nil, err
	}
	b, err := t.join(dir, key)
	if lacksRoom(err) {
		t.notKept(key, err)
		err = errAlone
	}
	return nil, b, err
}

// sleep returns early, with an error, when ctx ends. A lock of another process
// is waited for by asking again: flock cannot be told to stop waiting.
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

// clone makes a disk of the template that f is open on, and closes f. Whatever
// becomes of the template's name meanwhile, f stays what it is.
func (t *Templates) clone(ctx context.Context, dir dir, key string, f *os.File) (*disk.Disk, error) {
	defer f.Close()
	began := time.Now()
	if err := dir.touch(key); err != nil {
		t.debugf(key, "note use: %v (ignored)", err)
	}
	var cloned sparse.Result
	d, err := t.maker.Filled(ctx, func(ctx context.Context, path string) (err error) {
		cloned, err = cloneTo(ctx, path, int(f.Fd()))
		return err
	})
	if err != nil {
		return nil, err
	}
	t.debugf(key, "hit, cloned %s, ready in %s", cloned, short(time.Since(began)))
	return d, nil
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

func (t *Templates) isUnfit(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unfit == key
}

// debugf names a template by the beginning of its key, as git names commits.
func (t *Templates) debugf(key, format string, args ...any) {
	t.opts.Debug(fmt.Sprintf("template %.12s: %s", key, fmt.Sprintf(format, args...)))
}

func short(d time.Duration) time.Duration { return d.Round(time.Microsecond) }
