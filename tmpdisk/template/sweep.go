// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package template

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// splitName is the key that name begins with, and what follows it: nothing,
// ".lock", or ".tmp." and 20 digits. ok is false for other files, which are left
// alone.
func splitName(name string) (key, rest string, ok bool) {
	n := min(64, len(name))
	key, rest = name[:n], name[n:]
	random, temp := strings.CutPrefix(rest, ".tmp.")
	ok = rest == "" || rest == ".lock" || temp && sys.IsRandomName(random)
	return key, rest, ok && sys.IsHex(key, 64)
}

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
	byKey := map[string][]string{} // what follows the key
	for _, name := range names {
		if key, rest, ok := splitName(name); ok {
			byKey[key] = append(byKey[key], rest)
		} else if sys.StandsForRemoved(name) && d.abandoned(name) {
			if err := d.Remove(name); err != nil {
				t.opts.Debug(fmt.Sprintf("template: sweep: %v (ignored)", err))
			}
		}
	}
	for key, files := range byKey {
		// A template alone is what most find, and needs no lock.
		if len(files) == 1 && files[0] == "" && !t.expired(d, key) {
			continue
		}
		if err := t.sweepKey(d, key, files); err != nil {
			t.debugf(key, "sweep: %v (ignored)", err)
		}
	}
	return nil
}

func (t *Templates) sweepKey(d dir, key string, files []string) error {
	lock, err := d.tryLock(key)
	if errors.Is(err, errLocked) {
		t.debugf(key, "sweep: in use")
		return nil
	}
	if err != nil {
		return err
	}
	defer lock.release()
	// With the lock held, no temporary file has a builder, whenever it was
	// made: each takes the lock first.
	for _, file := range files {
		if !strings.HasPrefix(file, ".tmp.") {
			continue
		}
		if err := d.Remove(key + file); err != nil {
			return err
		}
		t.debugf(key, "sweep: removed %s, its builder is dead", key+file)
	}
	if slices.Contains(files, "") && t.expired(d, key) {
		if err := d.Remove(key); err != nil {
			return err
		}
		t.debugf(key, "sweep: removed, not used for %s", t.opts.Keep)
	}
	return nil
}

// expired is false if it cannot be known.
func (t *Templates) expired(d dir, key string) bool {
	var st unix.Stat_t
	if t.opts.Keep == 0 || unix.Fstatat(d.FD(), key, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return false
	}
	return time.Since(time.Unix(st.Mtim.Unix())) > t.opts.Keep
}

// abandoned is whether a removed file must have lost its server: a template in
// use has a time of a moment ago, see touch.
func (d dir) abandoned(name string) bool {
	var st unix.Stat_t
	return unix.Fstatat(d.FD(), name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		time.Since(time.Unix(st.Mtim.Unix())) > 24*time.Hour
}
