// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package template

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// A build makes a disk and keeps a copy of it as the template. It ends by
// itself, whoever has stopped waiting for it: clients without the patience
// would otherwise never get a template, and each would begin again.
//
// A build that nobody waits for is not counted in make-jobs. There is never more
// than one of them in a process, see Unattended. And a build that is not the newest
// of its Templates is cancelled as soon as nobody waits for it, because its key is
// out of date.
type build struct {
	t      *Templates
	key    string
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when it has ended

	// With Templates.mu:
	waiting int        // visits
	disk    *disk.Disk // once it has ended: for one of those who wait
	err     error      // the same: for whoever began it
}

// A visit is one caller's wait for a build. It ends with the call of wait.
type visit struct {
	*build
	began bool // the build was begun for this caller
}

// errOutdated is why a build is cancelled that nobody needs.
var errOutdated = errors.New("the template is out of date before it is built")

// join returns the build of key, which it begins if there is none, and takes
// over dir. The error is errLocked if another process builds, or errAlone.
func (t *Templates) join(dir dir, key string) (*visit, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b := t.builds[key]; b != nil {
		dir.Close()
		if t.failing == key {
			return nil, errAlone
		}
		b.waiting++
		t.opts.Unattended.release(b)
		return &visit{build: b}, nil
	}
	lock, err := t.tryLock(dir, key)
	if err != nil {
		dir.Close()
		return nil, err
	}
	b := t.begin(dir, lock, key)
	b.waiting++
	return &visit{b, true}, nil
}

// tryLock returns errAlone if there is no point in building, nor in waiting for
// another process to build. With mu.
func (t *Templates) tryLock(dir dir, key string) (*lock, error) {
	if t.short.pauses() {
		return nil, errAlone
	}
	lock, err := dir.tryLock(key)
	if errors.Is(err, errLocked) && t.failing == key {
		err = errAlone
	}
	return lock, err
}

// begin starts a build, which takes over dir and lock. With mu.
func (t *Templates) begin(dir dir, lock *lock, key string) *build {
	b := &build{t: t, key: key, done: make(chan struct{})}
	b.ctx, b.cancel = context.WithCancelCause(t.ctx)
	if old := t.newest; old != nil && old.waiting == 0 {
		old.cancel(errOutdated)
		t.opts.Unattended.release(old)
	}
	t.newest, t.builds[key] = b, b
	t.running.Add(1)
	go func() {
		defer t.running.Done()
		defer b.cancel(nil)
		b.run(dir, lock)
		// Nobody waits any more, and a sweep is one look at the directory.
		// What nobody uses makes room for the next template.
		if err := t.Sweep(); err != nil {
			t.opts.Debug(fmt.Sprintf("%v (ignored)", err))
		}
	}()
	return b
}

// run is the goroutine of a build. It books an outcome even if the maker
// panics or calls [runtime.Goexit].
func (b *build) run(dir dir, lock *lock) {
	var d *disk.Disk
	err := errors.New("make disk: the maker did not return")
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("make disk: panic: %v", v)
			b.t.opts.Error(fmt.Sprintf("%v\n%s", err, debug.Stack()))
		}
		lock.release()
		dir.Close()
		b.ended(d, err)
	}()
	d, err = b.t.build(b.ctx, dir, b.key)
}

// ended hands out what has become of the build.
func (b *build) ended(d *disk.Disk, err error) {
	b.t.mu.Lock()
	delete(b.t.builds, b.key)
	if b.t.newest == b {
		b.t.newest = nil
	}
	b.disk, b.err = d, err
	unwanted := b.waiting == 0
	close(b.done)
	b.t.opts.Unattended.release(b)
	b.t.mu.Unlock()
	if !unwanted {
		return
	}
	if err != nil {
		b.t.debugf(b.key, "not built, nobody waits for it: %v (ignored)", err)
	} else if err := d.Close(); err != nil {
		b.t.debugf(b.key, "%v (ignored)", err)
	}
}

// wait returns the disk that was built, or nil if another caller has it, the
// error of the build if it was begun for this caller, or the end of ctx.
func (v *visit) wait(ctx context.Context) (*disk.Disk, error) {
	select {
	case <-v.done:
	case <-ctx.Done():
	}
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	v.waiting--
	select {
	case <-v.done:
	default:
		switch {
		case v.waiting > 0:
		case v.t.newest != v.build:
			v.cancel(errOutdated)
		case !v.t.opts.Unattended.claim(v.build):
			v.cancel(errUnattended)
		}
		return nil, fmt.Errorf("wait for the template to be built: %w", sys.ContextError(ctx))
	}
	if d := v.disk; d != nil {
		v.disk = nil
		return d, nil
	}
	if v.began {
		return nil, v.err
	}
	return nil, nil
}

// build makes a disk and keeps a copy, with the lock of key. The disk that was
// made is returned, whether or not the copy could be kept.
func (t *Templates) build(ctx context.Context, dir dir, key string) (*disk.Disk, error) {
	// It may have been finished before the lock was taken.
	f, err := dir.template(key)
	if err == nil {
		return t.clone(ctx, dir, key, f)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	t.debugf(key, "miss")
	began := time.Now()
	d, err := t.maker.Fresh(ctx)
	if err != nil {
		if ctx.Err() == nil {
			t.setFailing(key)
		}
		return nil, err
	}
	built := fmt.Sprintf("built in %s", short(time.Since(began)))
	linked, why := unfit(d)
	if why != "" {
		t.setUnfit(key)
		t.debugf(key, "%s, no template is kept: %s (ignored)", built, why)
		return d, nil
	}
	if t.maker.Key() != key {
		// No key can be told for what the command saw. The next disk
		// gets a template.
		t.setFailing(key)
		t.debugf(key, "%s, not kept: a file that a parameter names has changed meanwhile (ignored)", built)
		return t.own(ctx, d, linked)
	}
	f, kept, err := dir.keep(ctx, key, d.FD())
	if errors.Is(err, unix.ENOENT) {
		// Somebody has removed the directory. The next disk makes it anew.
		t.setFailing(key)
		t.debugf(key, "%s, not kept: %v (ignored)", built, err)
		return t.own(ctx, d, linked)
	}
	if err != nil && ctx.Err() != nil {
		return nil, errors.Join(err, d.Close())
	}
	if err != nil {
		t.notKept(key, err)
		return t.own(ctx, d, linked)
	}
	f.Close()
	t.wasKept()
	t.debugf(key, "%s, kept %s", built, kept)
	return t.own(ctx, d, linked)
}

// own returns d, or a copy of it if the command has linked it to a file that
// stays, which is not the client's to change.
func (t *Templates) own(ctx context.Context, d *disk.Disk, linked bool) (*disk.Disk, error) {
	if !linked {
		return d, nil
	}
	copied, err := t.maker.Filled(ctx, func(ctx context.Context, path string) error {
		_, err := cloneTo(ctx, path, d.FD())
		return err
	})
	if closeErr := d.Close(); closeErr != nil {
		t.opts.Debug(fmt.Sprintf("%v (ignored)", closeErr))
	}
	return copied, err
}

// unfit says why a disk makes no template, which is known for certain, and
// whether it has a name.
func unfit(d *disk.Disk) (linked bool, why string) {
	var st unix.Stat_t
	err := unix.Fstat(d.FD(), &st)
	switch {
	case err != nil:
		return true, "" // keeping it will say why
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return false, "the command made a device, which cannot be cloned"
	case d.ReadOnly():
		return false, "the command made a read-only disk, which a clone would not be"
	}
	return st.Nlink > 0, ""
}

func (t *Templates) setUnfit(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unfit = key
}

func (t *Templates) setFailing(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failing = key
}
