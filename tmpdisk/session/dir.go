// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/fsprobe"
	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// The files of a session in a Dir are
//
//	KEY.disk        the disk, locked (flock) by the server that is connected
//	KEY.json        its record; or a note, without a disk, if it is lost
//	KEY.tmp.RANDOM  what is to become either, locked by its maker
//	lock            empty, where other machines have the directory as well: its
//	                lock is the directory's
//
// The record is the last to come and the first to change. A disk without one was
// never a client's. A record is written to the server's own disk before a client
// is told of the session, so that not even a crash of the machine makes it
// unknown.
//
// A record changes only in the hands of the server that has the disk's lock. A
// note, which has no disk, changes only under the lock of the directory, and so
// does what a new disk and its record are called.

// Directories are the private directories in a session-dir.
var Directories = privdir.Kind{Parameter: "session-dir", Name: "nbdkit-tmpdisk-sessions"}

// dir is a keeper whose disks outlive the server.
type dir struct {
	opts Options
	name string // of this server, see record.Server

	mu   sync.Mutex
	open *privdir.Dir // nil until it could be opened
	boot string
	host string
	// failed are the disks that the filesystem failed and for which no note
	// could be left. They must not be resumed here.
	failed generations
	// orphans are the disks whose server was found dead at the start, while a
	// client was connected: their grace began then.
	orphans generations
	// takeovers are those that this server's clients have not waited for.
	takeovers map[Key]takeover
	shared    bool // other machines may have the same directory

	naming sync.Mutex // with the lock of the directory

	filesystem atomic.Pointer[fsprobe.Result] // nil until it was tried
}

// generations are sessions that no other server has taken since. With mu.
type generations map[Key]uint64

// mark puts the session of r into one of the sets.
func (d *dir) mark(set generations, r *record) {
	d.mu.Lock()
	defer d.mu.Unlock()
	set[r.Key] = r.Generation
}

func (d *dir) marked(set generations, r *record) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	generation, ok := set[r.Key]
	return ok && generation == r.Generation
}

// private returns the directory, and makes it if need be.
func (d *dir) private() (*privdir.Dir, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open != nil {
		return d.open, nil
	}
	boot, err := []byte(d.opts.boot), error(nil)
	if d.opts.boot == "" {
		boot, err = os.ReadFile("/proc/sys/kernel/random/boot_id")
	}
	if err != nil && !d.opts.Sync {
		return nil, fmt.Errorf("find out whether the machine has crashed: %w: mount /proc, or give session-sync=yes", err)
	}
	p, err := Directories.Open(d.opts.Dir, true)
	if err != nil {
		return nil, err
	}
	if err := d.tryFilesystem(p); err != nil {
		p.Close()
		return nil, err
	}
	d.boot, d.open = strings.TrimSpace(string(boot)), p
	d.host, _ = os.Hostname()
	kind, err := sys.FSTypeOf(p.FD())
	d.shared = d.opts.shared || kind.Shared()
	if err != nil {
		d.opts.Debug(fmt.Sprintf("parameter session-dir: %s: %v (ignored)", p.Path(), err))
	}
	return p, nil
}

const lockName = "lock"

// exclusively runs f while nobody else names or forgets anything.
func (d *dir) exclusively(p *privdir.Dir, f func() error) error {
	d.naming.Lock()
	defer d.naming.Unlock()
	fd := p.FD()
	if d.shared {
		// NFS and FUSE keep the lock of a directory on this machine.
		f, err := p.Open(lockName, unix.O_RDWR|unix.O_CREAT)
		if err != nil {
			return err
		}
		defer f.Close()
		fd = int(f.Fd())
	}
	if err := sys.Retry(func() error { return unix.Flock(fd, unix.LOCK_EX) }); err != nil {
		return fmt.Errorf("lock: %s: %w", p.Path(), err)
	}
	defer unix.Flock(fd, unix.LOCK_UN)
	return f()
}

// patience is how long a newcomer waits for a server that is just ending.
const patience = 2 * time.Second

// lockDisk opens and locks the disk of key. The error wraps ENOENT if there is
// none, and errElsewhere if it stays locked.
func (d *dir) lockDisk(ctx context.Context, p *privdir.Dir, key Key, patience time.Duration) (*os.File, error) {
	pause := sys.Backoff{First: time.Millisecond, Last: 50 * time.Millisecond}
	for until := time.Now().Add(patience); ; {
		f, err := p.Lock(string(key)+".disk", unix.O_RDWR)
		switch {
		case err == nil:
			return f, nil
		case errors.Is(err, privdir.ErrReplaced):
			continue
		case !errors.Is(err, unix.EWOULDBLOCK):
			return nil, err
		case time.Now().After(until):
			return nil, fmt.Errorf("session %s: %w, and nobody can take it from a client that is connected there", key.Short(), errElsewhere)
		}
		select {
		case <-time.After(pause.Next()):
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for the other server: %w", sys.ContextError(ctx))
		}
	}
}

// read returns the record of key. The error wraps ENOENT if there is none. The file
// is locked meanwhile: if it is replaced, a sweep on another machine may find what
// stands for it there.
func (d *dir) read(p *privdir.Dir, key Key) (record, error) {
	f, err := p.Open(string(key)+".json", unix.O_RDONLY)
	if err != nil {
		return record{}, err
	}
	defer f.Close()
	// Its writer may have it locked still, which is as good.
	_ = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB)
	return readRecord(f, key)
}

// tempRecord writes r to a temporary file and returns its name. unlock must come
// after it has got another one.
func (d *dir) tempRecord(p *privdir.Dir, r *record, keep bool) (name string, unlock func() error, err error) {
	r.Format, r.Used, r.Boot, r.Host, r.Server, r.Sync = recordFormat, d.opts.now().UTC(), d.boot, d.host, d.name, d.opts.Sync
	name = string(r.Key) + ".tmp." + sys.RandomName()
	f, err := d.temp(p, name)
	if err != nil {
		return "", nil, err
	}
	_, err = f.Write(r.encode())
	if err == nil && keep {
		err = f.Sync()
	}
	if err != nil {
		p.Remove(name)
		f.Close()
		return "", nil, fmt.Errorf("write: %s: %w", p.Join(name), err)
	}
	return name, f.Close, nil
}

// write replaces the record of a session that is in this server's hands.
func (d *dir) write(p *privdir.Dir, r *record) error {
	return d.writeIf(p, r, func() error { return nil })
}

// rewrite replaces the record of h, if nobody has taken it over by the last moment.
func (d *dir) rewrite(p *privdir.Dir, h *held) error {
	return d.writeIf(p, &h.record, func() error { return d.newest(h) })
}

func (d *dir) writeIf(p *privdir.Dir, r *record, check func() error) error {
	// Without sync a crash of the machine ends the session, whatever the
	// record says then; unless it still says that there was sync before.
	keep := d.opts.Sync || r.Sync
	name, unlock, err := d.tempRecord(p, r, keep)
	if err != nil {
		return err
	}
	defer unlock()
	if err := check(); err != nil {
		return errors.Join(err, p.Remove(name))
	}
	if err := unix.Renameat(p.FD(), name, p.FD(), string(r.Key)+".json"); err != nil {
		p.Remove(name)
		return fmt.Errorf("rename: %s: %w", p.Join(name), err)
	}
	if keep {
		return syncDir(p)
	}
	return nil
}
