// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/overlay"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Based makes disks over the image that base= names. Its methods may be called from any
// number of goroutines.
type Based struct {
	maker *Maker
	asked sys.Turn // of looking at the image, which may hang

	looking sync.Mutex // one look at a time, so that what is wrong is said once
	mu      sync.Mutex
	base    *overlay.Base // the last one; nil before the first disk
	stopped bool
}

// NewBased returns a Based. It touches nothing yet.
func NewBased(m *Maker) *Based { return &Based{maker: m, asked: sys.NewTurn()} }

// Stop closes the image, which disks that stand on it keep open.
func (b *Based) Stop() {
	b.mu.Lock()
	b.stopped = true
	b.mu.Unlock()
	b.replace(nil)
}

// replace has base, which may be nil, take the last one's place.
func (b *Based) replace(base *overlay.Base) {
	b.mu.Lock()
	last := b.base
	if b.base = base; b.stopped && base != nil {
		last, b.base = base, nil
	}
	b.mu.Unlock()
	if last != nil {
		last.Release()
	}
}

// AtOnce reports whether Make asks nothing but filesystems of this machine.
func (b *Based) AtOnce() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.base != nil && b.base.Local()
}

// Make returns a new disk of size bytes over the image as it is now; 0 is the size that the
// parameters say.
func (b *Based) Make(ctx context.Context, size int64) (disk.Interface, error) {
	var err error
	if b.AtOnce() {
		err = b.look()
	} else if hangs := b.asked.Do(ctx, func() { err = b.look() }); hangs != nil {
		return nil, fmt.Errorf("parameter base: %s: %w", b.path(), hangs)
	}
	if err != nil {
		return nil, fmt.Errorf("parameter base: %w", err)
	}
	base := b.current()
	if base == nil {
		return nil, errors.New("base: the export has ended")
	}
	defer base.Release()
	size = cmp.Or(size, b.maker.opts.Config.Size, base.Size())
	d, err := b.maker.over(ctx, base, size)
	if err != nil {
		return nil, err
	}
	return d, nil
}

func (b *Based) path() string { return b.maker.opts.Config.Base }

// current is the image that was looked at last, which the caller releases.
func (b *Based) current() *overlay.Base {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.base != nil {
		b.base.Hold()
	}
	return b.base
}

// look opens the image if it is another one than the last time, or if it must not be read
// any more, which the open says.
func (b *Based) look() error {
	b.looking.Lock()
	defer b.looking.Unlock()
	path := b.path()
	if last := b.current(); last != nil {
		defer last.Release()
		if last.Is(path) && unix.Faccessat(unix.AT_FDCWD, path, unix.R_OK, unix.AT_EACCESS) == nil {
			changed := last.Changed()
			if changed == nil {
				return nil
			}
			b.maker.opts.Error(fmt.Sprintf("base: %s: changed in place, under whoever has a disk on it: %v: "+
				"make a new file and rename it over the old one", path, changed))
		}
	}
	var once sync.Once
	fresh, err := overlay.Open(path, b.maker.opts.Debug, func(err error) {
		once.Do(func() {
			b.maker.opts.Error(fmt.Sprintf("base: %s: clients get errors: %v: if it has become shorter, put the old one back, "+
				"and let a new one be renamed over it", path, err))
		})
	})
	if err != nil {
		return err
	}
	b.replace(fresh)
	return nil
}
