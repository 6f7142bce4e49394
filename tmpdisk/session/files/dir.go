// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package files

import (
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
	"nbdkit-tmpdisk-plugin/tmpdisk/session/basis"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/files/names"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/files/trial"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// Directories are the private directories in a session-dir.
var Directories = privdir.Kind{Parameter: "session-dir", Name: "nbdkit-tmpdisk-sessions"}

// Options are those of a Dir.
type Options struct {
	Path string // in which the private directory is; absolute
	// AtStart has Look make the directory and try its filesystem, so that what is wrong
	// with it is said then.
	AtStart bool
	Sync    bool // flush and FUA are real
	// Grace is how long a disk of export waits that another server had last: longer, if
	// that one's Config is another, and its grace longer. It is called from any number of
	// goroutines, and for exports that are there no longer as well, and for Unknown: 0 is
	// no grace.
	Grace    func(export string) time.Duration
	Config   string       // is the same for servers that have the same exports
	Debug    func(string) // a line for nbdkit -v
	LogError func(string) // a line for the log

	Clock  sys.Clock // nil is the machine's
	Boot   string    // for tests; "" is the kernel's boot ID
	Shared bool      // for tests: as if other machines had the directory as well
}

// Unknown is the export of a disk without a good record. No client can name it.
const Unknown = "\x00"

// Dir has the disks of sessions, and notes of those that are gone.
type Dir struct {
	opts Options
	mu   sync.Mutex // of whoever opens the directory, for which others must wait as well
	open privdir.Opened
	// server is what this one writes into records; its Boot and Host are known once the
	// directory is open.
	server record.Server

	// said has what the last look has left alone, and why.
	said map[string]string

	// failed has the generation of each session whose disk the filesystem failed, and
	// for which no note could be left. It must not be resumed here.
	failed sync.Map
	// takeovers has a takeover for each session whose client has not waited for it.
	takeovers sync.Map
	// anchors are the names of what is of no session, see package basis.
	anchors sync.Map

	shared     atomic.Bool // other machines may have the same directory
	naming     names.Lock
	filesystem atomic.Pointer[fsprobe.Result] // nil until it was tried
}

// bootFile has the kernel's boot ID; another one in tests.
var bootFile = "/proc/sys/kernel/random/boot_id"

// New returns a Dir. It touches nothing yet.
func New(o Options) *Dir {
	o.Clock = sys.ClockOr(o.Clock)
	return &Dir{
		opts: o, server: record.Server{Name: sys.RandomName(), Sync: o.Sync, Clock: o.Clock, Grace: o.Grace, Config: o.Config},
		naming: names.NewLock(),
	}
}

// private returns the directory, which the caller closes. The error is privdir.ErrNone if
// there is none and it is not to be made. A directory that was removed or renamed is opened
// anew, and the old one is closed once no claim is in it.
func (d *Dir) private(make bool) (*privdir.Dir, error) {
	if p, _ := d.open.Get(); p != nil {
		return p, nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	p, was := d.open.Get()
	if p != nil { // another caller has opened it meanwhile
		return p, nil
	}
	boot, err := []byte(d.opts.Boot), error(nil)
	if d.opts.Boot == "" {
		boot, err = os.ReadFile(bootFile)
	}
	none := errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission)
	if err != nil && !(none && d.opts.Sync) {
		return nil, fmt.Errorf("find out whether the machine has crashed: %w: mount /proc, or give session-sync=yes", err)
	}
	p, err = Directories.Open(d.opts.Path, make)
	if err != nil {
		return nil, err
	}
	t, err := sys.FSTypeOf(p.FD())
	if err == nil {
		d.shared.Store(d.opts.Shared || t.Shared())
		err = d.tryFilesystem(p)
	}
	if err != nil {
		p.Close()
		return nil, Directories.Named(err)
	}
	if was != nil {
		// What is connected goes on in the old one, which stays open for it.
		d.opts.LogError(fmt.Sprintf("session-dir: %s: removed or renamed by somebody: begun anew", was.Path()))
	} else { // once: others read them without mu
		d.server.Boot = strings.TrimSpace(string(boot))
		d.server.Host, _ = os.Hostname()
	}
	d.open.Set(p)
	return p, nil
}

// tryFilesystem finds out what the filesystem of p can do, and says it.
func (d *Dir) tryFilesystem(p *privdir.Dir) error {
	r, err := trial.Filesystem(p, d.opts.Debug)
	if r != nil {
		trial.Report(r, d.opts.Path, d.opts.Debug, d.opts.LogError)
		d.filesystem.Store(r)
	}
	return err
}

// Close removes the directory if nothing is in it.
func (d *Dir) Close() {
	if p, err := d.private(false); err == nil {
		defer p.Close()
		d.anchors.Range(func(name, _ any) bool {
			p.Remove(name.(string))
			return true
		})
		unix.Rmdir(p.Path())
	}
}

// patience is how long a newcomer waits for a server that is just ending.
const patience = 2 * time.Second

// Space is what the disk of key takes, in bytes. It waits for nobody but the
// filesystem.
func (d *Dir) Space(key keep.Key) (allocated uint64, ok bool) {
	p, err := d.private(false)
	if err != nil {
		return 0, false
	}
	defer p.Close()
	return names.Space(p, key)
}

// Touch makes the files of key as young as they can be, for the sake of whoever
// removes old files from directories like /var/tmp.
func (d *Dir) Touch(key keep.Key) error {
	p, err := d.private(false)
	if err != nil {
		return err
	}
	defer p.Close()
	return errors.Join(names.Touch(p, key), basis.Touch(p, key))
}

// Filesystem returns what that of the directory can do. ok is false if it could not
// be tried yet.
func (d *Dir) Filesystem() (r fsprobe.Result, ok bool) {
	if found := d.filesystem.Load(); found != nil {
		return *found, true
	}
	return r, false
}
