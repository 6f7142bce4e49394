// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package trial

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/fsprobe"
	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// noKey is that of a session that nobody has: what a trial leaves if it is killed is swept
// as a temporary file.
var noKey = strings.Repeat("0", 64)

// Filesystem finds out what that of p can do. It fails where no session can be kept:
// where locks do not keep two servers from one session, where a file cannot have two
// names, and where a directory cannot be synced. Where there is no room for a trial, what
// is there may still be served: then the result is nil.
func Filesystem(p *privdir.Dir, debug func(string)) (*fsprobe.Result, error) {
	r, err := fsprobe.Probe(p.Path(), noKey)
	why := r.Why(fsprobe.Locks)
	if err != nil {
		debug(fmt.Sprintf("session-dir: %v (ignored)", err))
		why = nil
	}
	if lock := sys.Flock(p.FD()); why == nil && !errors.Is(lock, unix.EWOULDBLOCK) {
		why = lock
	}
	unix.Flock(p.FD(), unix.LOCK_UN)
	if why != nil {
		return nil, fmt.Errorf("lock: %s: %w: name a directory on a filesystem that has locks", p.Path(), why)
	}
	if err != nil {
		return nil, nil
	}
	if err := link(p); err != nil {
		return nil, fmt.Errorf("link: %s: %w: name a directory on a filesystem that has hard links", p.Path(), err)
	}
	if err := p.Sync(); err != nil {
		return nil, fmt.Errorf("%w: name a directory on a filesystem whose directories can be synced (fsync)", err)
	}
	return &r, nil
}

func link(p *privdir.Dir) error {
	f, err := record.Temp(p, keep.Key(noKey))
	if err != nil {
		return err
	}
	defer f.Close()
	other := privdir.TempName(noKey)
	err = unix.Linkat(p.FD(), filepath.Base(f.Name()), p.FD(), other, 0)
	p.Discard(f)
	return errors.Join(err, p.Remove(other))
}

// Report says what the filesystem of the session-dir path can do.
func Report(r *fsprobe.Result, path string, debug, logError func(string)) {
	r.Report("session-dir", path, debug, logError)
	if r.LocalLocks != "" {
		logError(fmt.Sprintf("session-dir: %s: mounted with the option %s: other machines do not see its locks, "+
			"so no server on another machine may have the same session-dir", path, r.LocalLocks))
	}
}
