// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package export

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/logs"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Options say where the exports are, and what is made of them.
type Options[T any] struct {
	Dir string // absolute
	// Load makes of the settings what clients are served from. If it fails,
	// nothing of it may last. Its error is one line.
	Load func(name string, settings []Setting) (T, error)
	// Retire is told, once, that v takes no new clients any more.
	Retire          func(v T)
	Debug, LogError func(string)

	clock sys.Clock // nil but in tests
}

// A Dir is a directory of exports, as far as its files have had good versions.
type Dir[T any] struct {
	opts Options[T]

	mu      sync.Mutex
	stopped bool
	seen    identity        // the directory's, when it was listed last
	settled bool            // nothing can have changed unless its identity has
	fault   logs.Fault      // of the directory
	odd     map[string]bool // names that no export can have, which the log knows of
	files   map[string]*file[T]
	names   []string  // of all that was listed, sorted
	allAt   time.Time // when all of them were looked at last
	retired []T       // to be told when mu is free
}

// New returns a Dir that has not looked yet.
func New[T any](opts Options[T]) *Dir[T] {
	opts.clock = sys.ClockOr(opts.clock)
	return &Dir[T]{opts: opts, files: map[string]*file[T]{}}
}

// Start loads all exports. An error is logged; the export does not exist until
// its file is mended.
func (d *Dir[T]) Start() { d.All() }

// Find looks whether the directory, or the file of the export that is called
// name, has changed. It loads that file anew if it has, and returns what was made
// of it; false if there is no such export. name may be any string: it is compared
// with the names in the directory, and nothing else.
func (d *Dir[T]) Find(name string) (value T, ok bool) {
	defer d.retire()
	d.mu.Lock()
	defer d.mu.Unlock()
	current := d.look()
	f := d.files[name]
	if f == nil {
		return value, false
	}
	if current {
		d.update(f)
	}
	return f.value, f.loaded
}

// All looks at all files, as Find does at one, and returns what was made of them, in
// the order of the exports' names. Because any client can ask for that, files are not
// looked at again within a second if the directory is the same.
func (d *Dir[T]) All() []T {
	defer d.retire()
	d.mu.Lock()
	defer d.mu.Unlock()
	now, before := d.opts.clock.Now(), d.seen
	current := d.look() && (d.seen != before || now.Sub(d.allAt) >= pause)
	if current {
		d.allAt = now
	}
	var values []T
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		f := d.files[name]
		if current {
			d.update(f)
		}
		if f.loaded {
			values = append(values, f.value)
		}
	}
	return values
}

// Some returns the names of the first exports, sorted, and how many exports there are. It
// looks at so many files at most: any client can have it called.
func (d *Dir[T]) Some(most int) (names []string, count int) {
	defer d.retire()
	d.mu.Lock()
	defer d.mu.Unlock()
	current := d.look()
	for _, name := range d.names[:min(most, len(d.names))] {
		f := d.files[name]
		if f != nil && current {
			d.update(f)
		}
		if f != nil && f.loaded {
			names = append(names, name)
		}
	}
	for _, f := range d.files {
		if f.loaded || !f.fault.Lasts() { // good, or not read yet
			count++
		}
	}
	return names, count
}

// Stop retires all exports. From then on there are none.
func (d *Dir[T]) Stop() {
	defer d.retire()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.stopped = true
	for _, f := range d.files {
		d.drop(f)
	}
}

func (d *Dir[T]) retire() {
	d.mu.Lock()
	values := d.retired
	d.retired = nil
	d.mu.Unlock()
	for _, v := range values {
		d.opts.Retire(v)
	}
}

// look lists the directory if it may have changed since. It is false if nothing
// may be taken from it now.
func (d *Dir[T]) look() bool {
	if d.stopped {
		return false
	}
	now := d.opts.clock.Now() // before anything is read: a later change has a later time
	st, err := stat(unix.AT_FDCWD, d.opts.Dir, 0)
	if err == nil && d.settled && identityOf(&st) == d.seen {
		return true
	}
	d.settled = false
	if err := d.list(now); err != nil {
		d.logOnce(&d.fault, fmt.Errorf("%w: exports stay as they were", err))
		return false
	}
	d.fault.Ends()
	return true
}

func (d *Dir[T]) list(now time.Time) error {
	o, err := openFolder(d.opts.Dir)
	if err != nil {
		return err
	}
	defer o.Close()
	names, err := o.names()
	if err != nil {
		return fmt.Errorf("%s: %w", d.opts.Dir, err)
	}
	if len(names) == 0 && len(d.files) > 0 && o.id.Dev != d.seen.Dev {
		return fmt.Errorf("%s: is on another filesystem now, and has no exports: is one not mounted, or mounted over it?", d.opts.Dir)
	}
	d.seen, d.settled = o.id, o.id.settledAt(now)
	odd := map[string]bool{}
	for _, name := range names {
		if err := checkName(d.opts.Dir, name); err != nil {
			odd[name] = true
			if !d.odd[name] {
				d.opts.LogError("export-dir: " + err.Error())
			}
		} else if d.files[name] == nil {
			d.files[name] = &file[T]{name: name, path: pathOf(d.opts.Dir, name)}
		}
	}
	d.odd = odd
	// A file that is being replaced may be missing in the list.
	for name, f := range d.files {
		if _, listed := slices.BinarySearch(names, name); !listed && !o.has(name+suffix) {
			d.drop(f)
		}
	}
	d.names = names // those with odd names have no file
	return nil
}

// logOnce logs an error unless it is the one that was logged last.
func (d *Dir[T]) logOnce(last *logs.Fault, err error) {
	if last.Begins(err.Error()) {
		d.opts.LogError("export-dir: " + err.Error())
	}
}
