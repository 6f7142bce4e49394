// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package files

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

// tryFilesystem finds out what the filesystem can do. It fails where no session can be
// kept: where locks do not keep two servers from one session, where a file cannot have
// two names, and with session-sync where a directory cannot be synced. Where there is no
// room for a trial, what is there may still be served.
func (d *Dir) tryFilesystem(p *privdir.Dir) error {
	r, err := fsprobe.Probe(p.Path(), noKey)
	why := r.Why(fsprobe.Locks)
	if err != nil {
		d.opts.Debug(fmt.Sprintf("session-dir: %v (ignored)", err))
		why = nil
	}
	if lock := sys.Flock(p.FD()); why == nil && !errors.Is(lock, unix.EWOULDBLOCK) {
		why = lock
	}
	unix.Flock(p.FD(), unix.LOCK_UN)
	if why != nil {
		return fmt.Errorf("lock: %s: %w: name a directory on a filesystem that has locks", p.Path(), why)
	}
	if err != nil {
		return nil
	}
	if err := tryLink(p); err != nil {
		return fmt.Errorf("link: %s: %w: name a directory on a filesystem that has hard links", p.Path(), err)
	}
	if err := p.Sync(); err != nil {
		return fmt.Errorf("%w: name a directory on a filesystem whose directories can be synced (fsync)", err)
	}
	d.found(r)
	return nil
}

func tryLink(p *privdir.Dir) error {
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

// found keeps what the filesystem can do, and says it.
func (d *Dir) found(r fsprobe.Result) {
	r.Report("session-dir", d.opts.Path, d.opts.Debug, d.opts.LogError)
	if r.LocalLocks != "" {
		d.opts.LogError(fmt.Sprintf("session-dir: %s: mounted with the option %s: other machines do not see its locks, "+
			"so no server on another machine may have the same session-dir", d.opts.Path, r.LocalLocks))
	}
	d.filesystem.Store(&r)
}
