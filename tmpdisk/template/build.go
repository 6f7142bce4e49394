// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package template

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// A build makes a disk and keeps a copy of it as the template. It ends by itself even
// if nobody waits for it any more: clients without the patience would otherwise never
// get a template, and each would begin again.
//
// A build that nobody waits for is not counted in make-jobs. So there is only one of
// them in a process, see Options.Unattended: the first one to be left gets to its end,
// so that in time all do. The others are cancelled, and so is one that is not the last
// of its Templates to have begun: its key is out of date.
type build struct {
	t      *Templates
	key    string
	ctx    context.Context
	cancel context.CancelCauseFunc
	done   chan struct{} // closed when it has ended

	// With Templates.mu:
	waiting    int            // visits
	unattended bool           // it is the one that Options.Unattended is about
	disk       disk.Interface // once it has ended: for one of those who wait
	err        error          // the same: for whoever began it
}

// A visit is one caller's wait for a build. It ends with the call of wait.
type visit struct {
	*build
	began bool // the build was begun for this caller
}

// Why a build is cancelled that nobody waits for.
var (
	errOutdated   = errors.New("the template is out of date before it is built")
	errUnattended = errors.New("nobody waits for the template, and another one that nobody waits for is being built already")
)

// join returns the build of key, which it begins if there is none, and takes
// over dir. The error is errLocked if another process builds, or errAlone if
// there is no point in waiting for it, nor in building.
func (t *Templates) join(dir dir, key string) (*visit, error) {
	v, missed, err := t.visit(key, nil)
	if v != nil || err != nil {
		dir.Close()
		return v, err
	}
	// Without mu, which those need who wait for another build: the directory may hang.
	lock, err := t.tryLock(dir, key)
	begin := func() *build { return t.begin(dir, lock, key) }
	if err != nil {
		begin = nil
	}
	v, _, again := t.visit(key, begin) // another caller may have begun meanwhile
	if v != nil && v.began {
		return v, nil
	}
	if lock != nil {
		dir.unlock(lock)
	}
	dir.Close()
	switch {
	case v != nil || again != nil:
		return v, again
	case missed && errors.Is(err, errLocked):
		return nil, errAlone
	}
	return nil, err
}

// visit joins the build of key, or the one that begin, which is called with mu, returns
// if there is none. Without begin it returns nil then. missed says that the last one left
// no template. The error is errAlone if there is no point in a build.
func (t *Templates) visit(key string, begin func() *build) (v *visit, missed bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	missed = t.miss.key == key
	b := t.newest
	begins := b == nil || b.key != key
	if missed && (!begins || time.Now().Before(t.miss.until)) {
		return nil, missed, errAlone
	}
	if begins {
		if begin == nil {
			return nil, missed, nil
		}
		b = begin()
	}
	b.waiting++
	b.attend()
	return &visit{b, begins}, missed, nil
}

// begin starts a build, which takes over dir and lock. With mu.
func (t *Templates) begin(dir dir, lock *os.File, key string) *build {
	b := &build{t: t, key: key, done: make(chan struct{})}
	b.ctx, b.cancel = context.WithCancelCause(t.ctx)
	if old := t.newest; old != nil && old.waiting == 0 {
		old.cancel(errOutdated)
		old.attend()
	}
	t.newest = b
	t.running.Add(1)
	go func() {
		defer t.running.Done()
		defer b.cancel(nil)
		b.run(dir, lock)
		// Nobody waits any more, so this is a good time to remove templates that
		// are not used: the next one needs room.
		if err := t.Sweep(); err != nil {
			t.opts.Debug(fmt.Sprintf("%v (ignored)", err))
		}
	}()
	return b
}

// leave lets b go on without anybody who waits for it, or cancels it. With mu.
func (b *build) leave() {
	switch {
	case b.t.newest != b:
		b.cancel(errOutdated)
	case b.t.opts.Unattended.taken.CompareAndSwap(false, true):
		b.unattended = true
	default:
		b.cancel(errUnattended)
	}
}

// attend says that b is not unattended any more, or has ended. With mu.
func (b *build) attend() {
	if b.unattended {
		b.unattended = false
		b.t.opts.Unattended.taken.Store(false)
	}
}

// run is the goroutine of a build. It books an outcome even if the maker
// panics or calls [runtime.Goexit].
func (b *build) run(dir dir, lock *os.File) {
	var d disk.Interface
	err := errors.New("make disk: the maker did not return")
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("make disk: panic: %v", v)
			b.t.opts.Error(fmt.Sprintf("%v\n%s", err, debug.Stack()))
		}
		dir.unlock(lock)
		dir.Close()
		b.ended(d, err)
	}()
	d, err = b.t.build(b.ctx, dir, b.key)
}

// ended gives the outcome to those who wait, or closes a disk that nobody waits for.
func (b *build) ended(d disk.Interface, err error) {
	b.t.mu.Lock()
	if b.t.newest == b {
		b.t.newest = nil
	}
	b.disk, b.err = d, err
	unwanted := b.waiting == 0
	close(b.done)
	b.attend()
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
func (v *visit) wait(ctx context.Context) (disk.Interface, error) {
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
		if v.waiting == 0 {
			v.leave()
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
func (t *Templates) build(ctx context.Context, dir dir, key string) (disk.Interface, error) {
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
			t.missed(key, atOnce)
		}
		return nil, err
	}
	built := fmt.Sprintf("built in %s", short(time.Since(began)))
	pause := atOnce
	linked, why := unfit(d)
	switch {
	case why != "":
		pause = never
	case t.maker.Key() != key:
		// What the command saw has no key that could be known.
		why = "a file that a parameter names has changed meanwhile"
	default:
		kept, err := dir.keep(ctx, key, d.FD())
		switch {
		case err == nil:
			t.wasKept()
			t.debugf(key, "%s, kept %s", built, kept)
			if f, err := dir.template(key); linked && err == nil {
				d.Close() // a client must not change what it is linked to
				return t.clone(ctx, dir, key, f)
			} else if err == nil {
				f.Close()
			}
			return t.own(ctx, d, linked)
		case ctx.Err() != nil:
			return nil, errors.Join(err, d.Close())
		case !errors.Is(err, unix.ENOENT):
			t.notKept(key, err)
			return t.own(ctx, d, linked)
		}
		why = err.Error() // somebody has removed the directory
	}
	t.missed(key, pause)
	t.debugf(key, "%s, no template is kept: %s (ignored)", built, why)
	return t.own(ctx, d, linked)
}

// own returns d, or a copy of it if the command has linked it to a file that
// stays: a client must not change that.
func (t *Templates) own(ctx context.Context, d *disk.Disk, linked bool) (disk.Interface, error) {
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
	if err != nil {
		return nil, err
	}
	return copied, nil
}

// unfit says why a disk can never become a template, "" if it may. linked is whether
// the disk is a file that has a name, so that others can change it.
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
