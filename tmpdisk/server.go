// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/clients"
	"nbdkit-tmpdisk-plugin/tmpdisk/command"
	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/descriptors"
	"nbdkit-tmpdisk-plugin/tmpdisk/export"
	"nbdkit-tmpdisk-plugin/tmpdisk/fsprobe"
	"nbdkit-tmpdisk-plugin/tmpdisk/keepalive"
	"nbdkit-tmpdisk-plugin/tmpdisk/logs"
	"nbdkit-tmpdisk-plugin/tmpdisk/maker"
	"nbdkit-tmpdisk-plugin/tmpdisk/minfree"
	"nbdkit-tmpdisk-plugin/tmpdisk/pool"
	"nbdkit-tmpdisk-plugin/tmpdisk/register"
	"nbdkit-tmpdisk-plugin/tmpdisk/session"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
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
	cfg           *config.Config // the command line's
	host          Host
	version       string
	tmpdir        string // where disks are made
	sessionDir    string // where those of sessions are kept
	started       time.Time
	runner        *command.Runner
	jobs          *pool.Jobs   // of commands
	molds         *maker.Turns // a command that takes long holds none up
	tried         maker.Tried  // what was made before the start
	unattended    template.Unattended
	own           *liveExport              // the command line's; nil if it has no disk
	exports       *export.Dir[*liveExport] // nil if there is no export-dir
	live          sync.Map                 // the keys are the exports that have not been stopped
	ending        sys.Background           // what goes on in the background
	begun         atomic.Bool              // the exports that there were at the start are there
	stopping      atomic.Bool
	sessions      *session.Sessions // nil if there are none
	clients       *clients.Clients
	register      *register.Register
	nameless      *register.Tally // of the command line's disk, and of clients that ask for no export there is
	commands      maker.Counts
	watches       bool // who clients are
	log           *logs.Limiter
	reporter      *status.Reporter // nil if there is no file to write
	keepalive     *keepalive.Keepalive
	budget        *descriptors.Budget
	spaces        *minfree.Spaces
	filesystem    atomic.Pointer[fsprobe.Result] // of TMPDIR; nil if it could not be tried
	patience      time.Duration                  // of Stop; other than stopPatience in tests only
	startPatience time.Duration                  // of Start, for TMPDIR and for all others; the same
}

// NewServer returns a server of this version of the plugin for cfg, which must be
// complete. It touches nothing yet.
func NewServer(cfg *config.Config, host Host, version string) *Server {
	s := &Server{
		cfg: cfg, host: host, version: version, tmpdir: config.TMPDIR(host), started: time.Now(),
		clients:   clients.New(),
		log:       logs.New(host.Error),
		watches:   cfg.StatusFile != "" || cfg.Limits != (clients.Limits{}),
		runner:    command.NewRunner(host.Debug),
		jobs:      pool.NewJobs(cfg.Jobs()),
		molds:     maker.NewTurns(),
		keepalive: keepalive.New(cfg.ClientTimeout, host.Debug),
		budget:    descriptors.New(),
		spaces:    minfree.New(),
		patience:  stopPatience, startPatience: startPatience,
	}
	s.sessionDir = cmp.Or(cfg.Session.Dir, s.tmpdir)
	s.register = register.New(s.clients, cfg.Limits)
	s.nameless = s.register.Tally("")
	if cfg.HasDisk() {
		s.own = s.newExport("", cfg)
	}
	s.exports = newExports(s)
	s.sessions = s.newSessions()
	return s
}

// Adopt is told, before Start, of disks that package trial has left.
func (s *Server) Adopt(left map[string]int) { s.tried.Add(left) }

// errEnding is why what is going on ends with the server.
var errEnding = errors.New("the server is to end")

// startPatience is longer than most directories take that answer.
const startPatience = 5 * time.Second

// Start removes what dead servers have left and begins to make spare disks
// (nbdkit's .after_fork).
func (s *Server) Start() {
	for _, w := range s.cfg.Warnings() {
		s.host.Error(w)
	}
	sys.CatchFileSizeSignal()
	if err := s.runner.Prepare(); err != nil {
		s.host.Error("command: " + err.Error()) // as each client will be told
	}
	if warning := s.runner.Warning(); warning != "" {
		s.host.Error(warning)
	}
	// First, because what is found out there counts for the making of disks. The others
	// are begun side by side, so that it is waited once, however many hang.
	s.await(s.begin("TMPDIR "+s.tmpdir, s.startTMPDIR))
	var starts []start
	if s.own != nil {
		starts = append(starts, s.begin("template-dir "+s.cfg.TemplateDir, s.own.disks.Start))
	}
	if s.exports != nil {
		starts = append(starts, s.begin("export-dir "+s.cfg.ExportDir, s.startExports))
	}
	if s.sessions != nil {
		starts = append(starts, s.begin("session-dir "+s.sessionDir, func() {
			if err := s.sessions.Start(); err != nil {
				s.host.Error(err.Error()) // as each client will be told
			}
		}))
	}
	s.await(starts...)
	s.tried.Close()
	s.begun.Store(true)
	s.keepalive.Start()
	s.report()
}

// A start is what the start has to do in a directory.
type start struct {
	what string
	sys.Ending
}

// begin begins a start.
func (s *Server) begin(what string, f func()) start {
	s.ending.Begins()
	return start{what, sys.Begin(func() {
		defer s.ending.Ends()
		f()
	})}
}

// await waits for the starts. If one hangs, the server serves those who do not need its
// directory, and what has begun goes on.
func (s *Server) await(starts ...start) {
	var all []sys.Ending
	for _, b := range starts {
		all = append(all, b.Ending)
	}
	sys.Within(s.startPatience, all...)
	for _, b := range starts {
		if b.GoesOn() {
			s.host.Error(b.what + ": does not answer: the server starts all the same, and who needs it waits")
		}
	}
}

func (s *Server) startExports() {
	s.exports.Start()
	s.sayMany(mostListed)
}

func (s *Server) startTMPDIR() {
	if err := workdir.Sweep(s.tmpdir, s.host.Debug); err != nil {
		// A missing TMPDIR is told to each client; it may yet appear.
		s.host.Debug(fmt.Sprintf("%v (ignored)", err))
	}
	if r, ok := maker.TryDir(s.tmpdir, s.exports == nil && s.cfg.Builtin(), s.host.Debug, s.host.Error); ok {
		s.filesystem.Store(&r)
	}
}

// PreConnect looks after a new connection. An error ends it (nbdkit's .preconnect).
func (s *Server) PreConnect() error {
	if err := s.budget.Accepted(); err != nil {
		return s.refuse("", s.nameless, fmt.Errorf("connect: %w", err))
	}
	s.keepalive.Accepted()
	return nil
}

// Open connects a client to a disk; the caller must give the connection to Close
// (nbdkit's .open). What may take long it does by way of withClient. Whatever was
// being made for the client is abandoned when that ends.
func (s *Server) Open(client Client, withClient withClient) (*Connection, error) {
	came := time.Now()
	a, err := s.find(client.Export)
	if err != nil {
		return nil, s.refuse("", s.nameless, fmt.Errorf("open: %w", err))
	}
	x := a.x
	defer x.leave()
	c, err := s.openAsked(a, client, came, withClient)
	if err != nil {
		return nil, s.refuse(x.name, x.tally, err)
	}
	x.tally.Opens[c.how].Add(1)
	x.tally.Open.Observe(time.Since(came))
	return c, nil
}

// openAsked connects a client to what it asks for.
func (s *Server) openAsked(a ask, client Client, came time.Time, withClient withClient) (*Connection, error) {
	done, err := s.budget.Open()
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	defer done()
	x := a.x
	owned := a.token != "" && !x.cfg.Session.ByName // the session is one client's
	peer, err := s.peerOf(client, owned)
	if err != nil {
		return nil, err
	}
	if a.token == "" {
		return s.connect(x, nil, peer, client, func() (*Connection, error) { return x.open(a.size, came, withClient) })
	}
	owner := ""
	if owned {
		owner = peer.Owner()
	}
	key := keep.NewKey(a.export, a.token, owner)
	return s.connect(x, key, peer, client, func() (*Connection, error) {
		return x.openSession(a.export, a.size, key, came, withClient)
	})
}

// connect books a client, and gives it what open returns.
func (s *Server) connect(x *liveExport, key register.Key, peer clients.Peer, client Client, open func() (*Connection, error)) (*Connection, error) {
	booked, err := s.register.Open(x.name, key, peer)
	if err != nil {
		return nil, err
	}
	connected := false
	defer func() {
		if !connected { // open may have panicked
			booked.Fail()
		}
	}()
	c, err := open()
	if err != nil {
		return nil, err
	}
	c.client, c.direct = booked, client.Direct
	c.counted = &counted{Requests: c.Requests, time: func(time.Duration) {}}
	if c.direct != nil {
		c.counted.time = c.direct.Time
	}
	c.counted.failed = func(err error) error { return s.requestFailed(booked.Tally(), err) }
	c.Requests = c.counted
	if s.cfg.Limits.Metered() {
		c.meter = s.clients.Meter(peer.Owner(), s.cfg.Limits)
		c.Requests = &limited{c.counted, c.meter, client.Sleep}
	}
	booked.Connect(c, c.Size())
	connected = true
	return c, nil
}

// peerOf is who the client is, if anything depends on that.
func (s *Server) peerOf(client Client, forSession bool) (clients.Peer, error) {
	if !forSession && !s.watches {
		return clients.Peer{}, nil
	}
	p, err := client.Peer()
	switch {
	case err == nil:
		return p, nil
	case forSession:
		return clients.Peer{}, fmt.Errorf("open: parameter session-key: peer: %w: use session-key=name", err)
	case s.cfg.Limits != (clients.Limits{}):
		return clients.Peer{}, fmt.Errorf("open: limits of clients need to know who a client is: %w", err)
	}
	return clients.Peer{}, nil
}

// Close ends the connection of a client that is gone (nbdkit's .close).
func (s *Server) Close(c *Connection) {
	s.sayTimes(c)
	if c.meter != nil {
		c.meter.Close()
	}
	c.client.Disconnect()
	if c.session != nil {
		s.sessions.Close(c.session) // which says first if the disk waits
		c.client.Done()
		return
	}
	c.client.Done() // a file takes its time to go, for which no client need wait
	c.export.disks.Return(c.fresh)
}
