// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package fsprobe

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// An Ability is something that a filesystem can do or not. Logs and the status file
// have these words.
type Ability string

// The abilities, in the order in which a Result has them.
const (
	Unnamed Ability = "unnamed files" // and giving one a name later
	Punch   Ability = "punching holes"
	Zero    Ability = "zeroing without writing"
	Holes   Ability = "finding holes" // and never taking data for one
	Clone   Ability = "cloning"       // files that share blocks
	Locks   Ability = "locks"         // flock(2) between two who have a file open
)

// An Answer is whether a filesystem has an ability.
type Answer struct {
	Ability Ability
	Err     error // nil if it has; else why not, in few words
}

func (a Answer) String() string {
	if a.Err != nil {
		return fmt.Sprintf("%s: no: %v", a.Ability, a.Err)
	}
	return string(a.Ability) + ": yes"
}

// A Result is what was found out about a directory's filesystem.
type Result struct {
	Type    sys.FSType
	Answers []Answer // one for each ability
	// LocalLocks is the option with which it was mounted so that other machines
	// do not see its locks; "" if it has none that is known.
	LocalLocks string
}

// Why is why the filesystem does not have the ability; nil if it has.
func (r Result) Why(a Ability) error {
	for _, answer := range r.Answers {
		if answer.Ability == a {
			return answer.Err
		}
	}
	return errNotTried
}

// Lines says it all to a log: one line for each ability, of the directory dir and what
// that is for.
func (r Result) Lines(what, dir string) []string {
	var lines []string
	for _, a := range r.Answers {
		lines = append(lines, fmt.Sprintf("%s: %s (%s): %s", what, dir, r.Type, a))
	}
	return lines
}

// Report says it all to nbdkit -v, and what is wrong to the log.
func (r Result) Report(what, dir string, debug, logError func(string)) {
	for _, line := range r.Lines(what, dir) {
		debug(line)
	}
	if w := r.Warning(); w != "" {
		logError(fmt.Sprintf("%s: %s: %s", what, dir, w))
	}
}

// Warning says what is wrong with a filesystem that is not fit for disks; "" if nothing
// is known. Zeroing may leave the data where package disk does not trust it anyway.
func (r Result) Warning() string {
	if errors.Is(r.Why(Punch), errStays) || !r.Type.Shared() && errors.Is(r.Why(Zero), errStays) {
		return fmt.Sprintf("this filesystem (%s) says that it makes zeroes of data, and does not: "+
			"clients would find there what they have zeroed: name a directory on another one", r.Type)
	}
	return ""
}

var errNotTried = errors.New("not tried")

// Probe tries what the filesystem of path, a directory, can do. What it makes there is gone when it
// returns. If the process is killed meanwhile, a temporary file with that prefix may
// stay (see package privdir).
//
// The error says that no file could be made.
func Probe(path, prefix string) (r Result, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("try the filesystem: %w", err)
		}
	}()
	dir, err := privdir.Shared(path)
	if err != nil {
		return r, err
	}
	defer dir.Close()
	one, locks, err := unnamedFile(dir, prefix)
	if err != nil {
		return r, err
	}
	defer one.Close()
	t, err := sys.FSTypeOf(dir.FD()) // GlusterFS does not tell of a file without a name
	if err != nil {
		return r, fmt.Errorf("%s: %w", path, err)
	}
	r.Type, r.LocalLocks = t, localLocks(t, path)
	add := func(a Ability, err error) { r.Answers = append(r.Answers, Answer{a, err}) }
	add(Unnamed, unnamed(dir, prefix))
	add(Punch, zeroed(one, 0, unix.FALLOC_FL_PUNCH_HOLE))
	add(Zero, zeroed(one, unit, unix.FALLOC_FL_ZERO_RANGE))
	// Nothing of the first file is in memory only any more, which would have to
	// be written before it can be cloned.
	other, _, err := unnamedFile(dir, prefix)
	if err != nil {
		return r, err
	}
	defer other.Close()
	add(Holes, holes(int(other.Fd()), t, sys.Seek))
	add(Clone, sys.Retry(func() error { return unix.IoctlFileClone(int(other.Fd()), int(one.Fd())) }))
	add(Locks, locks)
	return r, nil
}
