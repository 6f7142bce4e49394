// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"regexp"

	"golang.org/x/sys/unix"
)

// Server makes disks for clients, ahead of them where it was told to. Its
// methods may be called from any goroutine; Start comes first and Stop last.
type Server struct {
	host  Host
	maker *maker
	pool  *pool[*Disk]

	clients clientWatch
}

// NewServer returns a server for cfg, which must be complete. It touches
// nothing yet.
func NewServer(cfg *Config, host Host) *Server {
	m := newMaker(cfg, host)
	s := &Server{
		host:    host,
		maker:   m,
		clients: clientWatch{host: host, keep: keepaliveOf(cfg.clientTimeout)},
	}
	s.pool = newPool(poolOptions{
		spares:   cfg.spareDisks,
		jobs:     cfg.makeJobs,
		room:     s.roomForSpare,
		cause:    causeOf,
		debug:    host.Debug,
		logError: host.Error,
	}, m.make)
	return s
}

// Start removes what dead servers have left and begins to make spare disks
// (nbdkit's .after_fork).
func (s *Server) Start() {
	catchFileSizeSignal()
	if err := s.maker.runner.Prepare(); err != nil {
		s.host.Error("command: " + err.Error()) // as each client will be told
	}
	if err := sweep(s.maker.parent, s.host); err != nil {
		// A missing TMPDIR is told to each client; it may yet appear.
		s.host.Debug(fmt.Sprintf("%v (ignored)", err))
	}
	if err := s.maker.templates.sweep(); err != nil {
		// So will be each client's open; here the administrator sees it.
		s.host.Error(err.Error())
	}
	s.clients.begin()
	s.pool.start()
}

// OpenReady returns a spare disk for a new client, who must give it to Close,
// or nil if none is ready. It does not wait (nbdkit's .open).
func (s *Server) OpenReady() *Disk {
	if s.room() != nil {
		return nil // Open says why
	}
	d, _ := s.pool.ready()
	return d
}

// Open returns a disk for a new client, who must give it to Close
// (nbdkit's .open). When ctx ends first, whatever was being made for the
// client is abandoned.
func (s *Server) Open(ctx context.Context) (*Disk, error) {
	if err := s.room(); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return s.pool.get(ctx)
}

// Close takes the disk of a client that is gone (nbdkit's .close).
func (s *Server) Close(d *Disk) {
	s.pool.put(d)
}

// Stop ends what is being made and drops what is ready (nbdkit's .cleanup).
func (s *Server) Stop() {
	s.pool.stop()
}

// catchFileSizeSignal keeps the server alive where its resource limits, or the
// filesystem's, end a file: the system call fails with EFBIG as well, and that
// is the client's to know. Caught and not ignored, because commands would
// inherit that.
func catchFileSizeSignal() {
	signal.Notify(make(chan os.Signal, 1), unix.SIGXFSZ)
}

// causeOf is what err says without that in which two disks that fail alike
// differ: the random names of directories, and how much is free just now.
func causeOf(err error) string {
	if errors.Is(err, errTooLittleFree) {
		return errTooLittleFree.Error()
	}
	return workdirInText.ReplaceAllString(err.Error(), workdirPrefix)
}

// whyCancelled goes when whoever cancels gives the cause.
func whyCancelled(err error) string {
	if errors.Is(err, context.Canceled) {
		return "client went away"
	}
	return "no time left"
}

var workdirInText = regexp.MustCompile(regexp.QuoteMeta(workdirPrefix) + `[0-9a-f]{20}`)
