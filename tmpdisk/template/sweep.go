// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package template

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// keep is how long a template stays that nobody uses.
const keep = 30 * 24 * time.Hour

// Sweep removes templates that nobody has used for keep, and what builders
// left that were killed. It waits for nobody: what is locked is in use. It may
// be called at any time, by any number of processes.
//
// The error says that the directory could not be read, or is not to be
// trusted. What could not be removed is a debug line.
func (t *Templates) Sweep() error {
	d, err := openDir(t.opts.Dir, false)
	if errors.Is(err, privdir.ErrNone) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	names, err := d.Names()
	if err != nil {
		return fmt.Errorf("parameter template-dir: sweep: %s: %w", d.Path(), err)
	}
	for _, name := range names {
		key, kind, ok := privdir.SplitName(name)
		var err error
		switch {
		case ok && kind == privdir.TempKind:
			err = d.SweepTemp(name)
		case ok && kind == "lock", ok && kind == "" && d.expired(key):
			err = t.sweepKey(d, key)
		case sys.StandsForRemoved(name) && d.abandoned(name):
			err = d.Remove(name)
		}
		if err != nil {
			t.opts.Debug(fmt.Sprintf("template: sweep: %v (ignored)", err))
		}
	}
	return nil
}

// sweepKey removes a template if it has expired, and a lock that nobody holds.
func (t *Templates) sweepKey(d dir, key string) error {
	lock, err := d.tryLock(key)
	if errors.Is(err, errLocked) {
		t.debugf(key, "sweep: in use")
		return nil
	}
	if err != nil {
		return err
	}
	defer d.unlock(lock)
	if !d.expired(key) {
		return nil
	}
	t.debugf(key, "sweep: not used for %s", keep)
	return d.Remove(key)
}

// expired reports whether nobody has used a template for so long that it goes. It is
// false if that cannot be known.
func (d dir) expired(key string) bool { return d.unusedFor(key, keep) }

// abandoned reports whether no server can have a removed file open any more. One that
// clones a template has noted the use a moment ago, see touch.
func (d dir) abandoned(name string) bool {
	return d.unusedFor(name, 24*time.Hour)
}

func (d dir) unusedFor(name string, age time.Duration) bool {
	var st unix.Stat_t
	return unix.Fstatat(d.FD(), name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		time.Since(time.Unix(st.Mtim.Unix())) > age
}
