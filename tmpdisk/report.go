// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/minfree"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// document is what status-file holds.
func (s *Server) document() status.Document {
	now := time.Now().UTC()
	doc := status.Document{Format: status.Format, Server: status.Server{
		Name: nameOf(s.cfg.StatusFile), Version: s.version, PID: os.Getpid(), Started: s.started.UTC(), Written: now,
		Parameters: s.cfg.Given(), Tmpdir: s.tmpdir, Commands: int(s.commands.Running.Load()),
	}}
	free, size, _ := minfree.Space(s.tmpdir)
	doc.Server.TmpdirFree, doc.Server.TmpdirSize = int64(free), int64(size)
	doc.Server.Filesystems = s.filesystems()
	doc.Disks, doc.Exports = []status.Disk{}, []status.Export{}
	disks := map[string]int{}
	r := s.register
	r.mu.Lock()
	times := r.times
	for _, e := range r.list() {
		disks[e.export]++
		doc.Disks = append(doc.Disks, s.describe(e, now, &times))
	}
	for e := range r.entries {
		doc.Server.ClientsWaiting += e.opening
	}
	r.mu.Unlock()
	doc.Latency = times.Latency()
	for _, src := range s.sources.all() {
		p := src.stats()
		doc.Server.Making += p.Making
		if src.isRetired() {
			continue
		}
		kind, mold := src.kind()
		doc.Exports = append(doc.Exports, status.Export{
			Name: src.name, Description: src.cfg.Description, Kind: kind, Type: src.cfg.Type,
			Size: src.cfg.Size, Spares: p.Spares, Mold: mold, Disks: disks[src.name],
		})
	}
	slices.SortFunc(doc.Exports, func(a, b status.Export) int { return cmp.Compare(a.Name, b.Name) })
	return doc
}

// describe is one disk's line, and adds the times of its requests. With the lock
// of the register.
func (s *Server) describe(e *entry, now time.Time, times *status.RequestTimes) status.Disk {
	n, state, d := e.numbers(times)
	client, _ := e.newest()
	if d == nil {
		client = conn{e.peer, e.since}
	}
	if n != e.seen {
		e.seen, e.used = n, now
	}
	line := status.Disk{
		Number: e.number, Export: e.export, Session: e.key.Short(), Peer: client.peer.Address, DN: client.peer.DN,
		Since: client.since.UTC(), State: state, Size: e.size,
		Read: n.Read, Written: n.Written, Trimmed: n.Trimmed, Zeroed: n.Zeroed,
	}
	if !e.used.IsZero() {
		used := e.used.UTC()
		line.Last = &used
	}
	line.Allocated = int64(s.space(e, n, d))
	return line
}

// numbers are those of all connections to the disk, one of which is d. With the
// lock of the register.
func (e *entry) numbers(times *status.RequestTimes) (n status.Numbers, state string, d *Disk) {
	n, state = e.past, status.StateConnected
	if e.waiting {
		state = status.StateWaiting
	}
	for _, d = range e.conns {
		n.Add(d.numbers())
		times.Add(d.times())
	}
	if _, fenced := e.newest(); fenced && d != nil { // the successor has left
		state = status.StateFenced
	}
	return n, state, d
}

// space is how many bytes the disk takes after those requests. With the lock of the
// register.
func (s *Server) space(e *entry, n status.Numbers, d *Disk) uint64 {
	if e.allocated != 0 && e.measured == n {
		return e.allocated
	}
	switch {
	case d != nil:
		e.allocated = d.file.Space()
	case e.waiting:
		e.allocated, _ = s.sessions.Space(e.key)
	}
	e.measured = n
	return e.allocated
}

// metrics is what metrics-file holds.
func (s *Server) metrics() status.Metrics {
	m := status.Metrics{
		Server: nameOf(s.cfg.MetricsFile), Version: s.version, Started: s.started,
		CommandsRunning: int(s.commands.Running.Load()),
		CommandsKilled:  s.commands.Killed.Load(), CommandsFailed: s.commands.Failed.Load(),
	}
	m.TmpdirFree, m.TmpdirSize, _ = minfree.Space(s.tmpdir)
	exports := map[string]*status.ExportMetrics{}
	r := s.register
	r.mu.Lock()
	m.RequestSeconds = r.times
	for name, t := range r.tallies {
		exports[name] = t.metrics(name)
	}
	for _, e := range r.list() {
		n, state, d := e.numbers(&m.RequestSeconds)
		to := exports[e.export]
		to.Disks++
		if state == status.StateWaiting {
			to.Waiting++
		}
		to.Allocated += s.space(e, n, d)
	}
	// A disk that a client has just left counts as well: no number may go down.
	for e := range r.entries {
		n, _, _ := e.numbers(&status.RequestTimes{})
		exports[e.export].Numbers.Add(n)
		m.ClientsWaiting += e.opening
	}
	r.mu.Unlock()
	for _, src := range s.sources.all() {
		p := src.stats()
		m.Making += p.Making
		if to := exports[src.name]; to != nil {
			to.Spares += p.Spares
		}
	}
	for _, name := range slices.Sorted(maps.Keys(exports)) {
		m.Exports = append(m.Exports, *exports[name])
	}
	return m
}

func (t *tally) metrics(export string) *status.ExportMetrics {
	m := &status.ExportMetrics{
		Export: export, Make: t.make.Snapshot(), Open: t.open.Snapshot(), Numbers: t.past, Fenced: t.fenced.Load(),
	}
	for i := range m.Opens {
		m.Opens[i] = t.opens[i].Load()
	}
	return m
}

// nameOf is the server's, which tells it from others of the machine: its file's.
func nameOf(file string) string {
	file = file[strings.LastIndexByte(file, '/')+1:]
	return strings.TrimSuffix(strings.TrimSuffix(file, ".json"), ".prom")
}

// sayTimes tells nbdkit -v how long the requests of a client took.
func (s *Server) sayTimes(d *Disk, n status.Numbers) {
	if n == (status.Numbers{}) {
		return
	}
	s.host.Debug(fmt.Sprintf("disk %d: %d reads of %d bytes, %d writes of %d, %d trims, %d zeroes; requests took: %s",
		d.entry.number, n.Read.Requests, n.Read.Bytes, n.Written.Requests, n.Written.Bytes,
		n.Trimmed.Requests, n.Zeroed.Requests, d.times()))
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
