// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"cmp"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
	"nbdkit-tmpdisk-plugin/tmpdisk/command"
	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/export"
	"nbdkit-tmpdisk-plugin/tmpdisk/fsprobe"
	"nbdkit-tmpdisk-plugin/tmpdisk/logs"
	"nbdkit-tmpdisk-plugin/tmpdisk/pool"
	"nbdkit-tmpdisk-plugin/tmpdisk/session"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
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
	version    string
	started    time.Time
	runner     *command.Runner
	jobs       *pool.Jobs // of commands
	molds      *pool.Jobs // of mkfs for molds: a command that takes long holds none up
	unattended template.Unattended
	own        *source              // the command line's disk; nil if it has none
	exports    *export.Dir[*source] // nil if there is no export-dir
	sources    sources              // those that somebody may still use
	ending     sync.WaitGroup       // sources that are being stopped
	sessions   *session.Sessions    // nil if there are none
	register   *register
	commands   commandCounts
	watches    bool // who clients are
	log        *logs.Limiter
	reporter   *status.Reporter // nil if there is no file to write
	keepalive  keepalive
	headroom   *headroom
	filesystem *fsprobe.Result // of TMPDIR; nil if it could not be tried
}

// NewServer returns a server of this version of the plugin for cfg, which must be
// complete. It touches nothing yet.
func NewServer(cfg *config.Config, host Host, version string) *Server {
	s := &Server{
		cfg: cfg, host: host, version: version, started: time.Now(),
		register:  newRegister(cfg.Limits),
		log:       logs.New(host.Error),
		watches:   cfg.StatusFile != "" || cfg.Limits != (clients.Limits{}),
		runner:    command.NewRunner(host.Debug),
		jobs:      pool.NewJobs(jobs(cfg)),
		molds:     pool.NewJobs(0),
		keepalive: keepalive{debug: host.Debug, proc: "/proc/self", settings: settingsFor(cfg.ClientTimeout)},

		headroom: newHeadroom(),
	}
	if cfg.HasDisk() {
		s.own = s.newSource("", cfg)
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
	s.report()
}

// PreConnect looks after a new connection. An error ends it (nbdkit's .preconnect).
func (s *Server) PreConnect() error {
	if err := s.headroom.accepted(); err != nil {
		return s.refuse("", fmt.Errorf("connect: %w", err))
	}
	s.keepalive.connected()
	return nil
}

// Open returns a disk for a client that comes, who must give it to Close
// (nbdkit's .open). What may take long it does by way of withClient. Whatever was
// being made for the client is abandoned when that ends.
func (s *Server) Open(client Client, withClient withClient) (*Disk, error) {
	began := time.Now()
	src, export, token, err := s.find(client.Export)
	if err != nil {
		return nil, s.refuse("", fmt.Errorf("open: %w", err))
	}
	defer src.release()
	done, err := s.headroom.open()
	if err != nil {
		return nil, s.refuse(src.name, fmt.Errorf("open: %w", err))
	}
	defer done()
	d, err := s.openIn(src, export, token, client, began, withClient)
	if err != nil {
		return nil, s.refuse(src.name, err)
	}
	t := d.entry.tally
	t.opens[d.outcome(began)].Add(1)
	t.open.Observe(time.Since(began))
	return d, nil
}

// openIn opens a disk of src, or the session that token names.
func (s *Server) openIn(src *source, export, token string, client Client, began time.Time, withClient withClient) (*Disk, error) {
	peer, err := s.peerOf(client, token != "" && !src.cfg.Session.ByName)
	if err != nil {
		return nil, err
	}
	var key session.Key
	if token != "" {
		owner := ""
		if !src.cfg.Session.ByName {
			owner = peer.Owner()
		}
		key = session.NewKey(export, token, owner)
	}
	e, taken, err := s.register.open(src.name, key, peer)
	if err != nil {
		return nil, err
	}
	var d *Disk
	if key != "" {
		d, err = s.openSession(src, export, key, began, withClient)
	} else {
		d, err = src.open(withClient)
	}
	if err != nil {
		s.register.fail(e, taken)
		return nil, err
	}
	s.give(d, peer, client, e.tally)
	s.register.connect(e, d, peer, taken)
	return d, nil
}

// peerOf is who the client is, if anything depends on that.
func (s *Server) peerOf(client Client, forSession bool) (Peer, error) {
	if !forSession && !s.watches {
		return Peer{}, nil
	}
	p, err := client.Peer()
	switch {
	case err == nil:
		return p, nil
	case forSession:
		return Peer{}, fmt.Errorf("open: parameter session-key: peer: %w: use session-key=name", err)
	case s.cfg.Limits != (clients.Limits{}):
		return Peer{}, fmt.Errorf("open: limits of clients need to know who a client is: %w", err)
	}
	return Peer{}, nil
}

// give makes d the client's, whose numbers go to t.
func (s *Server) give(d *Disk, peer Peer, client Client, t *tally) {
	d.direct = client.Direct
	d.counted = &counted{Requests: d.Requests, time: func(time.Duration) {}}
	if d.direct != nil {
		d.counted.time = d.direct.Time
	}
	d.counted.failed = func(err error) error { return s.requestFailed(t, err) }
	d.Requests = d.counted
	if s.cfg.Limits.Metered() {
		d.meter = s.register.clients.Meter(peer.Owner(), s.cfg.Limits)
		d.Requests = &limited{d.counted, d.meter, client.Sleep}
	}
}

// Close takes the disk of a client that is gone (nbdkit's .close).
func (s *Server) Close(d *Disk) {
	s.sayTimes(d, d.numbers())
	if d.meter != nil {
		d.meter.Close()
	}
	e := s.register.close(d)
	if d.conn != nil {
		s.sessions.Close(d.conn) // which says first if it waits
		s.register.release(e)
		return
	}
	d.takeBack()
	s.register.release(e) // a file takes its time to go, for which no client need wait
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
	if s.reporter != nil {
		s.reporter.Stop()
	}
	s.log.Stop()
}

// catchFileSizeSignal keeps the server alive where its resource limits, or the
// filesystem's, end a file: the system call fails with EFBIG as well, and that
// is the client's to know. Caught and not ignored, because commands would
// inherit that.
func catchFileSizeSignal() {
	signal.Notify(make(chan os.Signal, 1), unix.SIGXFSZ)
}
