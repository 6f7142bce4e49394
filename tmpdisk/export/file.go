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
)

// A file is that of an export. With Dir.mu.
type file[T any] struct {
	name, path string
	seen       identity // when it was read last, as the Dir's
	settled    bool
	tried      string // the text that was read last
	fault      logs.Fault
	retry      bool      // Load has failed, perhaps for what is not in the file
	loadedAt   time.Time // when it did

	loaded   bool
	text     string // that value was made of
	settings []Setting
	value    T
}

// pause is how long a version that cannot be loaded is left alone.
const pause = time.Second

// update reads a file if it may have changed since, and loads it if it has.
func (d *Dir[T]) update(f *file[T]) {
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
		d.drop(f)
	case err != nil:
		d.failed(f, err)
	default:
		again := string(text) == f.tried && id == f.seen
		f.tried, f.seen, f.settled = string(text), id, id.settledAt(now)
		if f.loaded && f.tried == f.text {
			f.fault.Ends()
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
	if err == nil && f.loaded && sameSettings(settings, f.settings) {
		f.text = f.tried // a comment has changed
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
	if f.loaded {
		d.retired = append(d.retired, f.value)
		d.opts.Debug("export " + f.name + ": changed")
	} else {
		d.opts.Debug("export " + f.name + ": loaded from " + f.path)
	}
	f.fault.Ends()
	f.value, f.text, f.settings, f.loaded = v, f.tried, settings, true
}

func sameSettings(a, b []Setting) bool {
	return slices.EqualFunc(a, b, func(x, y Setting) bool { return x.Key == y.Key && x.Value == y.Value })
}

// drop forgets an export.
func (d *Dir[T]) drop(f *file[T]) {
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
	state := "there is no such export until this is mended"
	if f.loaded {
		state = "its last good version stays in force"
	}
	d.logOnce(&f.fault, fmt.Errorf("%s: %w: %s", f.path, err, state))
}
