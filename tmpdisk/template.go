// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"

	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// templates makes disks by cloning what was made once and kept. Its methods
// may be called from any number of goroutines, and as many processes may use
// the same directory.
type templates struct {
	maker *maker
	dir   string
	keep  time.Duration // 0 keeps for ever
	stamp *restamp      // nil leaves clones as they are

	// unfit is the key of what was found not to make a template. Nobody
	// then waits for it to be built, nor is it looked for.
	unfit atomic.Pointer[string]
	// plain is set when templates would be slower than mkfs, and when stamp
	// is found not to work. The directory is swept even so.
	plain atomic.Bool
	// failing is set while the last build has failed. Nobody then waits for
	// the next one, which will most likely fail as well: those who cannot
	// build make a disk for themselves, all at a time, and get their own
	// errors.
	failing atomic.Bool
}

// newTemplates returns nil if the configuration does not ask for templates.
func newTemplates(m *maker) *templates {
	c := m.cfg
	if c.templateDir == "" {
		return nil
	}
	t := &templates{maker: m, dir: c.templateDir, keep: c.templateKeep}
	if c.command == "" && !c.templateSameUUID {
		stamp, ok := restampOf(c.mkfsType(), c.size)
		if !ok {
			m.host.Debug(fmt.Sprintf("template: no template is used: for type=%s of this size a clone with a "+
				"new UUID costs more than mkfs, or no program can give it one (ignored)", c.mkfsType()))
		}
		t.stamp = stamp
		t.plain.Store(!ok)
	}
	return t
}

// make returns a new disk: a clone of the template, which is made first if
// there is none.
func (t *templates) make(ctx context.Context) (*Disk, error) {
	key := templateKey(t.maker.cfg)
	if t.isUnfit(key) || t.plain.Load() {
		return t.maker.makeBy(ctx, t.maker.fresh())
	}
	dir, err := openTemplateDir(t.dir, true)
	if err != nil {
		return nil, err
	}
	defer dir.close()
	f, lock, err := t.find(ctx, dir, key)
	if err != nil {
		return nil, err
	}
	if f != nil {
		defer f.Close()
		return t.clone(ctx, dir, key, f)
	}
	if lock == nil {
		return t.maker.makeBy(ctx, t.maker.fresh())
	}
	defer lock.release()
	return t.build(ctx, dir, key)
}

// find returns the template, or the lock with which to build it, or neither:
// it is then known that it makes no template, or none just now.
func (t *templates) find(ctx context.Context, dir *templateDir, key string) (*os.File, *templateLock, error) {
	var p pauses
	for {
		f, err := dir.template(key)
		if err != nil || f != nil {
			return f, nil, err
		}
		lock, err := dir.tryLock(key)
		if err != nil {
			return nil, nil, err
		}
		if lock != nil {
			// It may have been finished between the two.
			f, err := dir.template(key)
			if err != nil || f != nil {
				lock.release()
				return f, nil, err
			}
			return nil, lock, nil
		}
		if t.isUnfit(key) || t.failing.Load() {
			return nil, nil, nil
		}
		if p.next == 0 {
			t.debugf(key, "being built by another")
		}
		if err := p.wait(ctx); err != nil {
			return nil, nil, err
		}
	}
}

// build makes a disk and keeps a copy. The first client's disk is the one that
// was made: nobody else has its UUID.
func (t *templates) build(ctx context.Context, dir *templateDir, key string) (*Disk, error) {
	t.debugf(key, "miss")
	began := time.Now()
	d, err := t.maker.makeBy(ctx, t.maker.fresh())
	t.failing.Store(err != nil && ctx.Err() == nil)
	if err != nil {
		return nil, err
	}
	took := time.Since(began)
	linked, why := unfitDisk(d)
	if why == "" && templateKey(t.maker.cfg) != key {
		// No key can be told for what the command saw. The next disk
		// gets a template.
		t.debugf(key, "built in %s, not kept: a file that a parameter names has changed meanwhile (ignored)", short(took))
		return d, nil
	}
	if why != "" {
		t.unfit.Store(&key)
		t.debugf(key, "built in %s, no template is kept: %s (ignored)", short(took), why)
		return d, nil
	}
	f, kept, err := dir.keep(ctx, key, d.fd)
	if errors.Is(err, unix.ENOENT) && !linked {
		// Somebody has removed the directory. The next disk makes it anew.
		t.debugf(key, "built in %s, not kept: %v (ignored)", short(took), err)
		return d, nil
	}
	if err != nil {
		return nil, errors.Join(err, d.Close())
	}
	defer f.Close()
	t.debugf(key, "built in %s, kept %s", short(took), kept)
	if !linked {
		return d, nil
	}
	// The command has linked the disk to a file that stays.
	if err := d.Close(); err != nil {
		t.debugf(key, "%v (ignored)", err)
	}
	return t.clone(ctx, dir, key, f)
}

// unfitDisk says why a disk makes no template, and whether it has a name.
func unfitDisk(d *Disk) (linked bool, why string) {
	var st unix.Stat_t
	err := unix.Fstat(d.fd, &st)
	switch {
	case err != nil:
		return false, err.Error()
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return false, "the command made a device, which cannot be cloned"
	case d.readOnly:
		return false, "the command made a read-only disk, which a clone would not be"
	}
	return st.Nlink > 0, ""
}

// keep makes a template called key of the file that fd is open on, and returns
// it. The lock of key must be held.
func (d *templateDir) keep(ctx context.Context, key string, fd int) (*os.File, cloneResult, error) {
	name := tmpName(key)
	f, err := d.open(name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL)
	if err != nil {
		return nil, cloneResult{}, err
	}
	r, err := cloneFile(ctx, int(f.Fd()), fd, cloneOptions{findZeroes: true})
	if err == nil {
		// The name must not outlive the data when the power fails.
		err = sys.Retry(func() error { return unix.Fsync(int(f.Fd())) })
	}
	if err == nil {
		err = unix.Renameat(d.fd, name, d.fd, key)
	}
	if errors.Is(err, unix.ENOENT) {
		// Somebody has tidied up. The next disk gets a template.
		return f, r, nil
	}
	if err != nil {
		unix.Unlinkat(d.fd, name, 0)
		f.Close()
		return nil, r, fmt.Errorf("parameter template-dir: keep template: %s: %w", d.join(key), err)
	}
	return f, r, nil
}

// clone makes a disk of the template that f is open on. Whatever becomes of
// the template's name meanwhile, f stays what it is.
func (t *templates) clone(ctx context.Context, dir *templateDir, key string, f *os.File) (*Disk, error) {
	began := time.Now()
	if err := dir.touch(key); err != nil {
		t.debugf(key, "note use: %v (ignored)", err)
	}
	var cloned cloneResult
	filled := false
	r := recipe{fill: func(ctx context.Context, path string) (err error) {
		cloned, err = cloneTo(ctx, path, f)
		filled = err == nil
		return err
	}}
	stamped := ""
	if t.stamp != nil {
		r.script, r.mkfs = t.stamp.script, true
		stamped = ", given a new UUID"
	}
	d, err := t.maker.makeBy(ctx, r)
	if err == nil {
		t.debugf(key, "hit, cloned %s%s, ready in %s", cloned, stamped, short(time.Since(began)))
		return d, nil
	}
	if r.script == nil || !filled || ctx.Err() != nil {
		return nil, err
	}
	d, freshErr := t.maker.makeBy(ctx, t.maker.fresh())
	if freshErr != nil {
		return nil, errors.Join(err, freshErr)
	}
	if !t.plain.Swap(true) {
		t.maker.host.Error(fmt.Sprintf("template: none is used until the server is started again: "+
			"clones cannot be given new UUIDs: %v", err))
	}
	return d, nil
}

// cloneTo clones f to a new file at path.
func cloneTo(ctx context.Context, path string, f *os.File) (cloneResult, error) {
	dst, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return cloneResult{}, fmt.Errorf("clone: %w", err)
	}
	r, err := cloneFile(ctx, int(dst.Fd()), int(f.Fd()), cloneOptions{})
	if closeErr := dst.Close(); err == nil && closeErr != nil {
		err = fmt.Errorf("clone: %w", closeErr)
	}
	return r, err
}

func (t *templates) isUnfit(key string) bool {
	unfit := t.unfit.Load()
	return unfit != nil && *unfit == key
}

// debugf names a template by the beginning of its key, as git names commits.
func (t *templates) debugf(key, format string, args ...any) {
	t.maker.host.Debug(fmt.Sprintf("template %.12s: %s", key, fmt.Sprintf(format, args...)))
}
