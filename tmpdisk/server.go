// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/command"
	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/export"
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
	cfg        *config.Config // the command line's
	host       Host
	runner     *command.Runner
	jobs       *pool.Jobs // of commands
	molds      *pool.Jobs // of mkfs for molds: a command that takes long holds none up
	unattended template.Unattended
	own        *source              // the command line's disk; nil if it has none
	exports    *export.Dir[*source] // nil if there is no export-dir
	ending     sync.WaitGroup       // sources that are being stopped
	sessions   *session.Sessions    // nil if there are none
	keepalive  keepalive
}

// NewServer returns a server for cfg, which must be complete. It touches
// nothing yet.
func NewServer(cfg *config.Config, host Host) *Server {
	s := &Server{
		cfg: cfg, host: host,
		runner:    command.NewRunner(host.Debug),
		jobs:      pool.NewJobs(jobs(cfg)),
		molds:     pool.NewJobs(0),
		keepalive: keepalive{debug: host.Debug, proc: "/proc/self", settings: settingsFor(cfg.ClientTimeout)},
	}
	if cfg.HasDisk() {
		s.own = s.newSource(cfg)
	}
	s.exports = newExports(s)
	s.sessions = s.newSessions()
	return s
}

// jobs is how many commands may run at a time. More than there are users for them
// would wait for these, out of turn.
func jobs(cfg *config.Config) int {
	n := cmp.Or(cfg.MakeJobs, runtime.NumCPU())
	if cfg.CommandUsers != nil {
		n = min(n, cfg.CommandUsers.Len())
	}
	return n
}

// Start removes what dead servers have left and begins to make spare disks
// (nbdkit's .after_fork).
func (s *Server) Start() {
	catchFileSizeSignal()
	if err := s.runner.Prepare(); err != nil {
		s.host.Error("command: " + err.Error()) // as each client will be told
	}
	if err := workdir.Sweep(tmpdir(s.host), s.host.Debug); err != nil {
		// A missing TMPDIR is told to each client; it may yet appear.
		s.host.Debug(fmt.Sprintf("%v (ignored)", err))
	}
	s.tryTMPDIR()
	if s.own != nil {
		s.own.start()
	}
	if s.exports != nil {
		s.exports.Start()
	}
	if s.sessions != nil {
		if err := s.sessions.Start(); err != nil {
			s.host.Error(err.Error()) // as each client will be told
		}
	}
	s.keepalive.begin()
}

// tryTMPDIR tells the administrator of a filesystem that is second best.
func (s *Server) tryTMPDIR() {
	dir := tmpdir(s.host)
	holds, err := workdir.HoldsOpenFiles(dir)
	if err != nil {
		s.host.Debug(fmt.Sprintf("%v (ignored)", err)) // clients are told
	}
	if !holds {
		return
	}
	if s.exports == nil && s.cfg.Builtin() {
		if fd, err := sparse.Unnamed(dir, false); err == nil {
			unix.Close(fd)
			return
		}
	}
	s.host.Error(fmt.Sprintf("TMPDIR %s: on this filesystem (FUSE, NFS or the like) a file has a name as long as it is open. "+
		"So each disk keeps a directory there, and two more descriptors, until its client is gone. "+
		"What is left when the server ends before its clients is removed when it starts again. "+
		"A local filesystem, like ext4, xfs, btrfs or tmpfs, is better", dir))
}

// PreConnect looks after a new connection (nbdkit's .preconnect).
func (s *Server) PreConnect() { s.keepalive.connected() }

// Open returns a disk for a client that comes, who must give it to Close
// (nbdkit's .open). What may take long it does by way of withClient, which runs a
// function with a context that ends when the client has gone or the server is to
// end. Whatever was being made for the client is abandoned then.
func (s *Server) Open(client Client, withClient func(func(context.Context) (*Disk, error)) (*Disk, error)) (*Disk, error) {
	src, exportName, token, err := s.find(client.Export)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	defer src.release()
	if token != "" {
		return s.openSession(src, exportName, token, client, withClient)
	}
	return src.open(withClient)
}

// Close takes the disk of a client that is gone (nbdkit's .close).
func (s *Server) Close(d *Disk) {
	if d.conn != nil {
		s.sessions.Close(d.conn)
		return
	}
	d.source.pool.Put(d)
}

// Stop ends what is being made and drops what is ready (nbdkit's .cleanup).
func (s *Server) Stop() {
	if s.sessions != nil {
		s.sessions.Stop()
	}
	if s.exports != nil {
		s.exports.Stop()
	}
	if s.own != nil {
		s.own.stop(errEnding)
	}
	s.ending.Wait()
}

// catchFileSizeSignal keeps the server alive where its resource limits, or the
// filesystem's, end a file: the system call fails with EFBIG as well, and that
// is the client's to know. Caught and not ignored, because commands would
// inherit that.
func catchFileSizeSignal() {
	signal.Notify(make(chan os.Signal, 1), unix.SIGXFSZ)
}
