// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package export

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
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

	clock    sys.Clock                                    // nil but in tests
	patience func() (context.Context, context.CancelFunc) // the same
}

// A Dir is a directory of exports, as far as its files have had good versions.
type Dir[T any] struct {
	opts Options[T]

	asker   *sys.Asker      // of the directory; in its turn:
	seen    identity        // the directory's, when it was listed last
	settled bool            // nothing can have changed unless its identity has
	fault   logs.Fault      // of the directory
	odd     map[string]bool // names that no export can have, which the log knows of

	mu      sync.Mutex // is held for no longer than it takes to look at memory
	stopped bool
	files   map[string]*file[T]
	names   []string  // of all that was listed, sorted
	allAt   time.Time // when all of them were looked at last
	retired []T       // to be told when mu is free
}

// New returns a Dir that has not looked yet.
func New[T any](opts Options[T]) *Dir[T] {
	opts.clock = sys.ClockOr(opts.clock)
	if opts.patience == nil {
		opts.patience = patience
	}
	return &Dir[T]{opts: opts, asker: sys.NewAsker(), files: map[string]*file[T]{}}
}

// patience lasts as long as somebody waits for the directory, for a file, or for what
// Load looks at, before the last good version will do.
func patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Second)
}

// Start loads all exports. An error is logged; the export does not exist until
// its file is mended. While files hang it takes as long as many of them do.
func (d *Dir[T]) Start() { d.values(mostHang) }

// mostHang is how many files Start leaves hanging, each of which takes a thread.
const mostHang = 200

// Find looks whether the directory, or the file of the export that is called
// name, has changed. It loads that file anew if it has, and returns what was made
// of it; false if there is no such export. name may be any string: it is compared
// with the names in the directory, and nothing else.
func (d *Dir[T]) Find(name string) (value T, ok bool) {
	defer d.retire()
	current, _ := d.look()
	f := d.file(name)
	if f != nil && current {
		d.update(f)
	}
	return d.served(f)
}

// Hangs reports whether it is not known if there is an export of that name, because the
// directory or its file does not answer.
func (d *Dir[T]) Hangs(name string) bool {
	f := d.file(name)
	return d.asker.Hangs() || f != nil && f.asker.Hangs()
}

// file is that of an export, or nil.
func (d *Dir[T]) file(name string) *file[T] {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.files[name]
}

// served is what has been made of a file, which may be nil.
func (d *Dir[T]) served(f *file[T]) (value T, ok bool) {
	if f == nil {
		return value, false
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return f.value, f.loaded
}

// All looks at all files, as Find does at one, and returns what was made of them, in
// the order of the exports' names. Because any client can ask for that, files are not
// looked at again within a second if the directory is the same.
func (d *Dir[T]) All() []T { return d.values(1) }

// values is All, which looks at no further file once most have been found to hang.
func (d *Dir[T]) values(most int64) (values []T) {
	defer d.retire()
	now := d.opts.clock.Now()
	current, changed := d.look()
	files, due := d.all(now, changed)
	if current && due {
		d.updateAll(files, most)
	}
	for _, f := range files {
		if v, ok := d.served(f); ok {
			values = append(values, v)
		}
	}
	return values
}

// together is how many files are looked at side by side.
const together = 20

// updateAll looks at files, until most are found to hang.
func (d *Dir[T]) updateAll(files []*file[T], most int64) {
	var hang atomic.Int64
	sys.Each(files, together, func(f *file[T]) {
		if hang.Load() < most && d.update(f) {
			hang.Add(1)
		}
	})
}

// all are the files in the order of their names. due says that All must look at them.
func (d *Dir[T]) all(now time.Time, changed bool) (files []*file[T], due bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if due = changed || now.Sub(d.allAt) >= pause; due {
		d.allAt = now
	}
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		files = append(files, d.files[name])
	}
	return files, due
}

// Some returns the names of the first exports, sorted, and how many exports there are. It
// looks at so many files at most: any client can have it called.
func (d *Dir[T]) Some(most int) (names []string, count int) {
	defer d.retire()
	current, _ := d.look()
	d.mu.Lock()
	var first []*file[T]
	for _, name := range d.names[:min(most, len(d.names))] {
		if f := d.files[name]; f != nil {
			first = append(first, f)
		}
	}
	d.mu.Unlock()
	if current {
		d.updateAll(first, 1)
	}
	for _, f := range first {
		if _, ok := d.served(f); ok {
			names = append(names, f.name)
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.files {
		if f.loaded || !f.bad { // good, or not read yet
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

// look lists the directory if it may have changed since. current is false if nothing
// may be taken from it now.
func (d *Dir[T]) look() (current, changed bool) {
	d.mu.Lock()
	stopped := d.stopped
	d.mu.Unlock()
	if stopped {
		return false, false
	}
	ctx, cancel := d.opts.patience()
	defer cancel()
	found := make(chan [2]bool, 1)
	answered := d.asker.Ask(ctx, func() {
		before := d.seen
		current := d.lookInTurn()
		found <- [2]bool{current, d.seen != before}
	}, func() {
		d.opts.LogError("export-dir: " + d.opts.Dir + ": does not answer: exports stay as they were")
	})
	if !answered {
		return false, false
	}
	is := <-found
	return is[0], is[1]
}

func (d *Dir[T]) lookInTurn() (current bool) {
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
	if len(names) == 0 && d.has() && o.id.Dev != d.seen.Dev {
		return fmt.Errorf("%s: is on another filesystem now, and has no exports: is one not mounted, or mounted over it?", d.opts.Dir)
	}
	d.seen, d.settled = o.id, o.id.settledAt(now)
	d.logOdd(names)
	for _, f := range d.take(names) {
		// A file that is being replaced may be missing in the list.
		if !o.has(f.name + suffix) {
			d.forget(f)
		}
	}
	return nil
}

// has reports whether there were any files.
func (d *Dir[T]) has() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.files) > 0
}

// logOdd logs names that no export can have.
func (d *Dir[T]) logOdd(names []string) {
	odd := map[string]bool{}
	for _, name := range names {
		if err := checkName(d.opts.Dir, name); err != nil {
			odd[name] = true
			if !d.odd[name] {
				d.opts.LogError("export-dir: " + err.Error())
			}
		}
	}
	d.odd = odd
}

// take takes what is new from a list of all names, and returns the files that are not
// in it.
func (d *Dir[T]) take(names []string) (missing []*file[T]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.names = names // those with odd names have no file
	for _, name := range names {
		if d.files[name] == nil && !d.odd[name] && !d.stopped {
			d.files[name] = &file[T]{asker: sys.NewAsker(), name: name, path: Path(d.opts.Dir, name)}
		}
	}
	for name, f := range d.files {
		if _, listed := slices.BinarySearch(names, name); !listed {
			missing = append(missing, f)
		}
	}
	return missing
}

// logOnce logs an error unless it is the one that was logged last.
func (d *Dir[T]) logOnce(last *logs.Fault, err error) {
	if last.Begins(err.Error()) {
		d.opts.LogError("export-dir: " + err.Error())
	}
}
