// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/fsprobe"
	"nbdkit-tmpdisk-plugin/tmpdisk/register"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// document is what status-file holds.
func (s *Server) document() status.Document {
	live := s.liveExports()
	snapshot := s.register.Snapshot(s.waitingSpace)
	free, size := s.spaces.Soon(s.tmpdir)
	doc := status.Document{Format: status.Format, Server: status.Server{
		Name: nameOf(s.cfg.StatusFile), Version: s.version, PID: os.Getpid(), Started: s.started.UTC(), Written: time.Now().UTC(),
		Parameters: s.cfg.Given(), Tmpdir: s.tmpdir, TmpdirFree: int64(free), TmpdirSize: int64(size), Filesystems: s.filesystems(),
		Commands: int(s.commands.Running.Load()), ClientsWaiting: snapshot.Opening,
	}, Disks: snapshot.Disks, Exports: []status.Export{}, Latency: snapshot.Times.Latency()}
	for _, x := range live {
		p := x.disks.Stats()
		doc.Server.Making += p.Making
		if x.isRetired() {
			continue
		}
		e := snapshot.Exports[x.name]
		if e == nil { // it has gone meanwhile
			continue
		}
		kind, mold := x.disks.Kind()
		doc.Exports = append(doc.Exports, status.Export{
			Name: x.name, Description: x.cfg.Description, Kind: kind, Type: x.cfg.Type,
			Size: x.cfg.Size, Spares: p.Spares, Mold: mold, Disks: e.Disks,
		})
	}
	return doc
}

// metrics is what metrics-file holds.
func (s *Server) metrics() status.Metrics {
	live := s.liveExports()
	snapshot := s.register.Snapshot(s.waitingSpace)
	m := status.Metrics{
		Server: nameOf(s.cfg.MetricsFile), Version: s.version, Started: s.started,
		CommandsRunning: int(s.commands.Running.Load()),
		CommandsKilled:  s.commands.Killed.Load(), CommandsFailed: s.commands.Failed.Load(),
		ClientsWaiting: snapshot.Opening, RequestSeconds: snapshot.Times,
	}
	m.TmpdirFree, m.TmpdirSize = s.spaces.Soon(s.tmpdir)
	for _, x := range live {
		p := x.disks.Stats()
		m.Making += p.Making
		if e := snapshot.Exports[x.name]; e != nil { // else it has gone meanwhile
			e.Spares += p.Spares
		}
	}
	m.Exports = slices.Collect(maps.Values(snapshot.Exports))
	return m
}

// waitingSpace is how many bytes the disk of a session takes that waits.
func (s *Server) waitingSpace(key register.Key) uint64 {
	space, _ := s.sessions.Space(key.(keep.Key))
	return space
}

// nameOf is the server's, which tells it from others of the machine: its file's.
func nameOf(file string) string {
	file = file[strings.LastIndexByte(file, '/')+1:]
	return strings.TrimSuffix(strings.TrimSuffix(file, ".json"), ".prom")
}

// sayTimes tells nbdkit -v how long the requests of a client took.
func (s *Server) sayTimes(c *Connection) {
	n := c.Numbers()
	if n == (status.Numbers{}) {
		return
	}
	s.host.Debug(fmt.Sprintf("disk %d: %d reads of %d bytes, %d writes of %d, %d trims, %d zeroes; requests took: %s",
		c.client.Number(), n.Read.Requests, n.Read.Bytes, n.Written.Requests, n.Written.Bytes,
		n.Trimmed.Requests, n.Zeroed.Requests, c.Times()))
}

// report begins to write the files.
func (s *Server) report() {
	o := status.Options{Document: s.document, Gather: s.metrics, LogError: s.host.Error}
	if s.cfg.StatusFile != "" {
		o.Status = status.NewFile(s.cfg.StatusFile, 0o600)
	}
	if s.cfg.MetricsFile != "" {
		o.Metrics = status.NewFile(s.cfg.MetricsFile, 0o644)
	}
	if o.Status != nil || o.Metrics != nil {
		s.reporter = status.Start(o)
	}
}

// filesystems is what status-file says of them. Those that could not be tried are
// not there.
func (s *Server) filesystems() []status.Filesystem {
	list := []status.Filesystem{}
	if r := s.filesystem.Load(); r != nil {
		list = append(list, describeFilesystem("TMPDIR", s.tmpdir, *r))
	}
	if s.sessions != nil {
		if r, ok := s.sessions.Filesystem(); ok {
			list = append(list, describeFilesystem("session-dir", s.sessionDir, r))
		}
	}
	return list
}

func describeFilesystem(what, path string, r fsprobe.Result) status.Filesystem {
	f := status.Filesystem{For: what, Path: path, Type: r.Type.String(), Shared: r.Type.Shared()}
	for _, a := range r.Answers {
		able := status.Ability{Name: string(a.Ability), Can: a.Err == nil}
		if a.Err != nil {
			able.Why = a.Err.Error()
		}
		f.Abilities = append(f.Abilities, able)
	}
	return f
}
