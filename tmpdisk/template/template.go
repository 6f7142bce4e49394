// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package template

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

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
	Dir   string        // template-dir, absolute
	Keep  time.Duration // unused ones are removed after it; 0 is never
	Debug func(string)
}

// Templates makes disks by cloning what was made once and kept. Its methods
// may be called from any number of goroutines, and as many processes may use
// the same directory.
type Templates struct {
	opts  Options
	maker Maker

	// unfit is the key of what was found not to make a template. Nobody
	// then waits for it to be built, nor is it looked for.
	unfit atomic.Pointer[string]
	// failing is set while the last build has failed. Nobody then waits for
	// the next one, which will most likely fail as well. Those who cannot
	// build make a disk for themselves, all at a time, and get their own
	// errors.
	failing atomic.Bool
}

// New returns templates of the disks that maker makes. It touches nothing yet.
func New(opts Options, maker Maker) *Templates {
	return &Templates{opts: opts, maker: maker}
}

// Make returns a new disk: a clone of the template, which is made first if
// there is none.
func (t *Templates) Make(ctx context.Context) (*disk.Disk, error) {
	key := t.maker.Key()
	if t.isUnfit(key) {
		return t.maker.Fresh(ctx)
	}
	dir, err := openDir(t.opts.Dir, true)
	if err != nil {
		return nil, err
	}
	defer dir.close()
	pause := sys.Backoff{First: time.Millisecond, Last: 50 * time.Millisecond}
	for waited := false; ; waited = true {
		f, err := dir.template(key)
		if err == nil {
			return t.clone(ctx, dir, key, f)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		lock, err := dir.tryLock(key)
		if err == nil {
			defer lock.release()
			return t.cloneOrBuild(ctx, dir, key)
		}
		if !errors.Is(err, errLocked) {
			return nil, err
		}
		if t.isUnfit(key) || t.failing.Load() {
			return t.maker.Fresh(ctx)
		}
		if !waited {
			t.debugf(key, "being built by another")
		}
		if err := sleep(ctx, pause.Next()); err != nil {
			return nil, fmt.Errorf("wait for another to build the template: %w", err)
		}
	}
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

// cloneOrBuild needs the lock of key. The template may have been finished
// before the lock was taken.
func (t *Templates) cloneOrBuild(ctx context.Context, dir *dir, key string) (*disk.Disk, error) {
	f, err := dir.template(key)
	if err == nil {
		return t.clone(ctx, dir, key, f)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return t.build(ctx, dir, key)
}

// build makes a disk and keeps a copy. The first client gets the disk that was
// made.
func (t *Templates) build(ctx context.Context, dir *dir, key string) (*disk.Disk, error) {
	t.debugf(key, "miss")
	began := time.Now()
	d, err := t.maker.Fresh(ctx)
	t.failing.Store(err != nil && ctx.Err() == nil)
	if err != nil {
		return nil, err
	}
	built := fmt.Sprintf("built in %s", short(time.Since(began)))
	linked, why := unfit(d)
	if why == "" && t.maker.Key() != key {
		// No key can be told for what the command saw. The next disk
		// gets a template.
		t.debugf(key, "%s, not kept: a file that a parameter names has changed meanwhile (ignored)", built)
		return d, nil
	}
	if why != "" {
		t.unfit.Store(&key)
		t.debugf(key, "%s, no template is kept: %s (ignored)", built, why)
		return d, nil
	}
	f, kept, err := dir.keep(ctx, key, d.FD())
	if errors.Is(err, unix.ENOENT) && !linked {
		// Somebody has removed the directory. The next disk makes it anew.
		t.debugf(key, "%s, not kept: %v (ignored)", built, err)
		return d, nil
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	t.debugf(key, "%s, kept %s", built, kept)
	if !linked {
		f.Close()
		return d, nil
	}
	// The command has linked the disk to a file that stays.
	if err := d.Close(); err != nil {
		t.debugf(key, "%v (ignored)", err)
	}
	return t.clone(ctx, dir, key, f)
}

// unfit says why a disk makes no template, and whether it has a name.
func unfit(d *disk.Disk) (linked bool, why string) {
	var st unix.Stat_t
	err := unix.Fstat(d.FD(), &st)
	switch {
	case err != nil:
		return false, err.Error()
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return false, "the command made a device, which cannot be cloned"
	case d.ReadOnly():
		return false, "the command made a read-only disk, which a clone would not be"
	}
	return st.Nlink > 0, ""
}

// clone makes a disk of the template that f is open on, and closes f. Whatever
// becomes of the template's name meanwhile, f stays what it is.
func (t *Templates) clone(ctx context.Context, dir *dir, key string, f *os.File) (*disk.Disk, error) {
	defer f.Close()
	began := time.Now()
	if err := dir.touch(key); err != nil {
		t.debugf(key, "note use: %v (ignored)", err)
	}
	var cloned sparse.Result
	d, err := t.maker.Filled(ctx, func(ctx context.Context, path string) (err error) {
		cloned, err = cloneTo(ctx, path, f)
		return err
	})
	if err != nil {
		return nil, err
	}
	t.debugf(key, "hit, cloned %s, ready in %s", cloned, short(time.Since(began)))
	return d, nil
}

// cloneTo clones f to a new file at path.
func cloneTo(ctx context.Context, path string, f *os.File) (sparse.Result, error) {
	dst, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return sparse.Result{}, fmt.Errorf("clone: %w", err)
	}
	r, err := sparse.Clone(ctx, int(dst.Fd()), int(f.Fd()), sparse.Options{})
	if closeErr := dst.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("clone: %w", closeErr)
	}
	return r, err
}

func (t *Templates) isUnfit(key string) bool {
	unfit := t.unfit.Load()
	return unfit != nil && *unfit == key
}

// debugf names a template by the beginning of its key, as git names commits.
func (t *Templates) debugf(key, format string, args ...any) {
	t.opts.Debug(fmt.Sprintf("template %.12s: %s", key, fmt.Sprintf(format, args...)))
}

func short(d time.Duration) time.Duration { return d.Round(time.Microsecond) }
