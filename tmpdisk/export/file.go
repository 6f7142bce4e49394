// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package export

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/logs"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// A file is that of an export.
type file[T any] struct {
	name, path string

	asker    *sys.Asker // of the file; in its turn:
	seen     identity   // when it was read last, as the Dir's
	settled  bool
	tried    string // the text that was read last
	fault    logs.Fault
	retry    bool      // Load has failed, perhaps for what is not in the file
	loadedAt time.Time // when it did
	text     string    // that value was made of
	settings []Setting

	// With Dir.mu:
	gone   bool // the Dir does not have it any more
	bad    bool // its last version has an error
	loaded bool
	value  T
}

// pause is how long a version that cannot be loaded is left alone.
const pause = time.Second

// update reads a file if it may have changed since, and loads it if it has. It reports
// whether it has waited for that in vain.
func (d *Dir[T]) update(f *file[T]) (hangs bool) {
	ctx, cancel := d.opts.patience()
	defer cancel()
	answered := f.asker.Ask(ctx, func() { d.updateInTurn(f) }, func() {
		d.opts.LogError("export-dir: " + f.path + ": it, or a file or directory that it names, does not answer: " + d.state(f))
	})
	return !answered && ctx.Err() != nil
}

func (d *Dir[T]) updateInTurn(f *file[T]) {
	now := d.opts.clock.Now()
	st, err := stat(unix.AT_FDCWD, f.path, 0)
	if err == nil && f.settled && identityOf(&st) == f.seen {
		if f.retry && now.Sub(f.loadedAt) >= pause {
			d.load(f)
		}
		return
	}
	f.settled = false
	o, err := openFolder(d.opts.Dir)
	if err != nil {
		return // the next look says so
	}
	defer o.Close()
	text, id, err := o.read(f.name + suffix)
	switch {
	case errors.Is(err, errBusy): // a good version may be there at the next look
	case errors.Is(err, unix.ENOENT) && !o.has(f.name+suffix):
		d.forget(f)
	case err != nil:
		d.failed(f, err)
	default:
		again := string(text) == f.tried && id == f.seen
		f.tried, f.seen, f.settled = string(text), id, id.settledAt(now)
		if d.isLoaded(f) && f.tried == f.text {
			d.mended(f)
		} else if !again {
			f.fault.Ends()
			d.load(f)
		} else if f.retry && now.Sub(f.loadedAt) >= pause {
			d.load(f)
		}
	}
}

// load makes a value of the text that was read.
func (d *Dir[T]) load(f *file[T]) {
	settings, err := Parse([]byte(f.tried))
	if err == nil && d.isLoaded(f) && sameSettings(settings, f.settings) {
		f.text = f.tried // a comment has changed
		d.mended(f)
		return
	}
	var v T
	if err == nil {
		v, err = d.opts.Load(f.name, settings)
		f.retry = err != nil
		f.loadedAt = d.opts.clock.Now()
	}
	if err != nil {
		d.failed(f, err)
		return
	}
	f.fault.Ends()
	f.text, f.settings = f.tried, settings
	d.serve(f, v)
}

// serve puts v in the place of what was served before.
func (d *Dir[T]) serve(f *file[T], v T) {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case f.gone:
		d.retired = append(d.retired, v)
		go d.retire() // perhaps nobody else comes who does
		return
	case f.loaded:
		d.retired = append(d.retired, f.value)
		d.opts.Debug("export " + f.name + ": changed")
	default:
		d.opts.Debug("export " + f.name + ": loaded from " + f.path)
	}
	f.value, f.loaded, f.bad = v, true, false
}

func sameSettings(a, b []Setting) bool {
	return slices.EqualFunc(a, b, func(x, y Setting) bool { return x.Key == y.Key && x.Value == y.Value })
}

func (d *Dir[T]) isLoaded(f *file[T]) bool {
	_, ok := d.served(f)
	return ok
}

// mended notes that a file has no error any more.
func (d *Dir[T]) mended(f *file[T]) {
	f.fault.Ends()
	d.setBad(f, false)
}

func (d *Dir[T]) setBad(f *file[T], bad bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f.bad = bad
}

// forget forgets an export.
func (d *Dir[T]) forget(f *file[T]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.drop(f)
}

// drop is forget with mu.
func (d *Dir[T]) drop(f *file[T]) {
	if f.gone {
		return
	}
	f.gone = true
	delete(d.files, f.name)
	if !f.loaded {
		return
	}
	d.retired = append(d.retired, f.value)
	var none T
	f.value, f.loaded = none, false
	d.opts.Debug("export " + f.name + ": removed")
}

func (d *Dir[T]) failed(f *file[T], err error) {
	d.setBad(f, true)
	d.logOnce(&f.fault, fmt.Errorf("%s: %w: %s", f.path, err, d.state(f)))
}

// state is what an error means for an export.
func (d *Dir[T]) state(f *file[T]) string {
	if d.isLoaded(f) {
		return "its last good version stays in force"
	}
	return "there is no such export until this is mended"
}

// An identity tells versions of a file or directory apart: its status, without what
// reading it, or writing back what is in memory, changes.
type identity unix.Stat_t

func identityOf(st *unix.Stat_t) identity {
	id := identity(*st)
	id.Atim, id.Blocks = unix.Timespec{}, 0
	return id
}

func stat(dirfd int, name string, flags int) (st unix.Stat_t, err error) {
	err = sys.Retry(func() error { return unix.Fstatat(dirfd, name, &st, flags) })
	return st, err
}

// settle is longer than the coarsest clock with which a filesystem marks changes
// (2 s, FAT's): what changed longer ago cannot change again without a new time.
const settle = 3 * time.Second

func (id identity) settledAt(now time.Time) bool {
	// Whatever changes a file changes its ctime, which nobody can set.
	return time.Unix(id.Ctim.Unix()).Before(now.Add(-settle))
}
