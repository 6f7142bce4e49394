// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/fsprobe"
	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// A trial's file has a name for a moment. Sweeps know it: that of a temporary file,
// of a session that nobody has.
var trialPrefix = strings.Repeat("0", 64)

// tryFilesystem finds out what the filesystem can do. It fails where locks do not keep
// two servers from one session. Where there is no room for a trial, what is there may
// still be served.
func (d *dir) tryFilesystem(p *privdir.Dir) error {
	r, err := fsprobe.Probe(p.Path(), trialPrefix)
	var why error
	if err == nil {
		why = r.Why(fsprobe.Locks)
	}
	if err := sys.Flock(p.FD()); why == nil && !errors.Is(err, unix.EWOULDBLOCK) {
		why = err
	}
	unix.Flock(p.FD(), unix.LOCK_UN)
	switch {
	case why != nil:
		return fmt.Errorf("parameter session-dir: lock: %s: %w: name a directory on a filesystem that has locks", p.Path(), why)
	case err != nil:
		d.opts.Debug(fmt.Sprintf("session-dir: %v (ignored)", err))
	default:
		d.found(r)
	}
	return nil
}

// found keeps what the filesystem can do, and says it.
func (d *dir) found(r fsprobe.Result) {
	for _, line := range r.Lines("session-dir", d.opts.Dir) {
		d.opts.Debug(line)
	}
	if w := r.Warning(); w != "" {
		d.opts.LogError(fmt.Sprintf("parameter session-dir: %s: %s", d.opts.Dir, w))
	}
	if r.LocalLocks != "" {
		d.opts.LogError(fmt.Sprintf("parameter session-dir: %s: mounted with the option %s: other machines do not see its locks, "+
			"so that no server on another one may have the same session-dir", d.opts.Dir, r.LocalLocks))
	}
	d.filesystem.Store(&r)
}

// Filesystem returns what that of Options.Dir can do. ok is false if there is none,
// or it could not be tried yet.
func (s *Sessions) Filesystem() (r fsprobe.Result, ok bool) {
	d, ok := s.keeper.(*dir)
	if !ok {
		return r, false
	}
	if found := d.filesystem.Load(); found != nil {
		return *found, true
	}
	return r, false
}
