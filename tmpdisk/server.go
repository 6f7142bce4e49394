// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/pool"
	"nbdkit-tmpdisk-plugin/tmpdisk/session"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
	"nbdkit-tmpdisk-plugin/tmpdisk/template"
	"nbdkit-tmpdisk-plugin/tmpdisk/workdir"
)

// Host is what the Server needs of nbdkit. The plugin gives nbdkit's own
// functions; tests give plain ones. Every method may be called from any
// goroutine.
type Host interface {
	// AbsolutePath resolves path against the directory nbdkit was started in.
	AbsolutePath(path string) string
	// Debug writes one line that only `nbdkit -v` shows.
	Debug(msg string)
	// Error writes one line to nbdkit's log, for failures that no client is
	// there to be told of.
	Error(msg string)
}

// Server makes disks for clients, ahead of them where it was told to. Its
// methods may be called from any goroutine; Start comes first and Stop last.
type Server struct {
	host      Host
	maker     *maker
	caster    *caster             // nil if a command makes the disks
	templates *template.Templates // nil if none are used
	pool      *pool.Pool[*Disk]
	sessions  *session.Sessions // nil if there are none
	keepalive keepalive
}

// NewServer returns a server for cfg, which must be complete. It touches
// nothing yet.
func NewServer(cfg *config.Config, host Host) *Server {
	s := &Server{
		host:      host,
		maker:     newMaker(cfg, host),
		sessions:  newSessions(cfg.Session, host),
		keepalive: keepalive{debug: host.Debug, proc: "/proc/self", settings: settingsFor(cfg.ClientTimeout)},
	}
	spares := cfg.SpareDisks
	switch {
	case cfg.Builtin():
		// A cast takes no longer than it takes to fetch a spare disk.
		s.caster, spares = newCaster(s.maker, func() { s.pool.SetSpares(cfg.SpareDisks) }), 0
		if cfg.TemplateDir != "" {
			host.Debug("parameter template-dir: disks of type=" + cfg.Type + " need no template (ignored)")
		}
	case cfg.TemplateDir != "":
		s.templates = template.New(template.Options{
			Dir: cfg.TemplateDir, Keep: cfg.TemplateKeep, Debug: host.Debug, Error: host.Error,
		}, s.maker)
	}
	s.pool = pool.New(pool.Options[*Disk]{
		Spares:   spares,
		Jobs:     pool.NewJobs(cfg.MakeJobs),
		Room:     s.roomForSpare,
		Fresh:    func(d *Disk) bool { return d.key == s.key() },
		Debug:    host.Debug,
		LogError: host.Error,
	}, s.make)
	return s
}

// Start removes what dead servers have left and begins to make spare disks
// (nbdkit's .after_fork).
func (s *Server) Start() {
	catchFileSizeSignal()
	if err := s.maker.runner.Prepare(); err != nil {
		s.host.Error("command: " + err.Error()) // as each client will be told
	}
	if err := workdir.Sweep(s.maker.parent, s.host.Debug); err != nil {
		// A missing TMPDIR is told to each client; it may yet appear.
		s.host.Debug(fmt.Sprintf("%v (ignored)", err))
	}
	s.tryTMPDIR()
	if s.templates != nil {
		if err := s.templates.Sweep(); err != nil {
			// So will be each client's open; here the administrator sees it.
			s.host.Error(err.Error())
		}
	}
	if s.sessions != nil {
		if err := s.sessions.Start(); err != nil {
			s.host.Error(err.Error()) // as each client will be told
		}
	}
	s.keepalive.begin()
	if s.caster != nil {
		s.caster.begin()
	}
	s.pool.Start()
}

// tryTMPDIR tells the administrator of a filesystem that is second best.
func (s *Server) tryTMPDIR() {
	holds, err := workdir.HoldsOpenFiles(s.maker.parent)
	if err != nil {
		s.host.Debug(fmt.Sprintf("%v (ignored)", err)) // clients are told
	}
	if !holds {
		return
	}
	if s.caster != nil {
		if fd, err := sparse.Unnamed(s.maker.parent, false); err == nil {
			unix.Close(fd)
			return
		}
	}
	s.host.Error(fmt.Sprintf("TMPDIR %s: on this filesystem (FUSE, NFS or the like) a file has a name as long as it is open. "+
		"So each disk keeps a directory there, and two more descriptors, until its client is gone. "+
		"What is left when the server ends before its clients is removed when it starts again. "+
		"A local filesystem, like ext4, xfs, btrfs or tmpfs, is better", s.maker.parent))
}

// PreConnect looks after a new connection (nbdkit's .preconnect).
func (s *Server) PreConnect() { s.keepalive.connected() }

// Open returns a disk for a client that comes, who must give it to Close
// (nbdkit's .open). What may take long it does by way of withClient, which runs a
// function with a context that ends when the client has gone or the server is to
// end. Whatever was being made for the client is abandoned then.
func (s *Server) Open(client Client, withClient func(func(context.Context) (*Disk, error)) (*Disk, error)) (*Disk, error) {
	key, export, err := s.sessionOf(client)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if key != "" {
		return withClient(func(ctx context.Context) (*Disk, error) { return s.openSession(ctx, key, export) })
	}
	if err := s.room(); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if !s.casts() {
		return withClient(s.fresh)
	}
	// By way of withClient a cast would take a quarter as long again.
	d, err := s.fresh(context.Background())
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return d, nil
}

// casts reports whether a disk can be had at once, from memory.
func (s *Server) casts() bool { return s.caster != nil && s.caster.casts() }

// fresh returns a new disk, from memory if it can be had there.
func (s *Server) fresh(ctx context.Context) (*Disk, error) {
	if !s.casts() {
		return s.pool.Get(ctx)
	}
	d, err := s.caster.Make(ctx)
	if err != nil {
		return nil, err
	}
	n := newDisk(d)
	n.cast = true
	return n, nil
}

// Close takes the disk of a client that is gone (nbdkit's .close).
func (s *Server) Close(d *Disk) {
	switch {
	case d.conn != nil:
		s.sessions.Close(d.conn)
	case !d.cast:
		s.pool.Put(d)
	default:
		if err := d.file.Close(); err != nil {
			s.host.Debug(fmt.Sprintf("%v (ignored)", err))
		}
	}
}

// Stop ends what is being made and drops what is ready (nbdkit's .cleanup).
func (s *Server) Stop() {
	if s.sessions != nil {
		s.sessions.Stop()
	}
	s.pool.Stop()
	if s.templates != nil {
		s.templates.Stop(errEnding)
	}
	if s.caster != nil {
		s.caster.stop()
	}
}

// make is what the pool makes disks by.
func (s *Server) make(ctx context.Context) (*Disk, error) {
	key := s.key()
	fresh := s.maker.Fresh
	switch {
	case s.caster != nil:
		fresh = s.caster.Make
	case s.templates != nil:
		fresh = s.templates.Make
	}
	d, err := fresh(ctx)
	if err == nil {
		if err = s.notLinked(d); err != nil {
			err = errors.Join(err, d.Close())
		}
	}
	if err != nil {
		return nil, err
	}
	n := newDisk(d)
	n.key = key
	return n, nil
}

// key changes when disks that are made from now on may have another content.
// Without templates nobody has asked for that: a command may well keep a log in
// a file that a parameter names.
func (s *Server) key() string {
	if s.templates == nil {
		return ""
	}
	return s.maker.Key()
}

// catchFileSizeSignal keeps the server alive where its resource limits, or the
// filesystem's, end a file: the system call fails with EFBIG as well, and that
// is the client's to know. Caught and not ignored, because commands would
// inherit that.
func catchFileSizeSignal() {
	signal.Notify(make(chan os.Signal, 1), unix.SIGXFSZ)
}
