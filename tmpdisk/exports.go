// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/export"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
)

// An Export is what a client that lists the exports is shown.
type Export struct{ Name, Description string }

// Exports lists those that clients may ask for, sorted by name (nbdkit's
// .list_exports). ok is false if every name is served alike.
func (s *Server) Exports() (list []Export, ok bool) {
	if s.exports == nil {
		return nil, false
	}
	if s.own != nil {
		list = append(list, Export{"", s.own.cfg.Description})
	}
	for _, x := range s.exports.All() {
		list = append(list, Export{x.name, x.cfg.Description})
	}
	return list, true
}

// mostListed is how many exports nbdkit lists.
const mostListed = 10_000

// sayMany tells the administrator that no client can list the exports if there are more
// than most.
func (s *Server) sayMany(most int) {
	_, count := s.exports.Some(0)
	if s.own != nil {
		count++
	}
	if count > most {
		s.host.Error(fmt.Sprintf("export-dir: %d exports: nbdkit lists at most %d, so clients get an error when they ask for the list. "+
			"Each export can be asked for by its name", count, most))
	}
}

func newExports(s *Server) *export.Dir[*liveExport] {
	if s.cfg.ExportDir == "" {
		return nil
	}
	return export.New(export.Options[*liveExport]{
		Dir: s.cfg.ExportDir,
		Load: func(name string, settings []export.Setting) (*liveExport, error) {
			cfg, err := s.cfg.Export(settings)
			if err == nil && s.stopping.Load() { // it may have hung for long
				err = errEnding
			}
			if err != nil {
				return nil, err
			}
			for _, w := range cfg.Warnings() {
				s.host.Error("export " + name + ": " + w)
			}
			x := s.newExport(name, cfg)
			if s.begun.Load() { // else it was tried before the start
				if err := x.disks.Try(); err != nil {
					x.retire()
					return nil, err
				}
			}
			x.disks.Start()
			return x, nil
		},
		Retire:   (*liveExport).retire,
		Debug:    s.host.Debug,
		LogError: func(line string) { s.log.Log("export-dir", line) },
	})
}

// lookup returns the export of that name, or nil.
func (s *Server) lookup(name string) *liveExport {
	if s.exports == nil || name == "" {
		return s.own
	}
	x, _ := s.exports.Find(name)
	return x
}

// find returns the export that a client asks for by name, entered, and the name of
// the session in it: token is "" if it asks for none.
func (s *Server) find(name string) (x *liveExport, export, token string, err error) {
	export = name
	if s.sessions != nil {
		if export, token, _, err = keep.ParseName(name); err != nil {
			return nil, "", "", err
		}
	}
	for {
		x := s.lookup(export)
		switch {
		case x == nil:
			return nil, "", "", s.unknown(export)
		case token != "" && x.policy().Grace == 0:
			return nil, "", "", &noExport{fmt.Sprintf("export %q: has no sessions: give it session-grace=, or ask for it without a slash", export)}
		case token == "" && x.cfg.Session.Token && x.policy().Grace > 0:
			return nil, "", "", &noExport{fmt.Sprintf("export %.100q: a client must name a session (session-token=required): ask for %.100q", export, export+"/TOKEN")}
		case x.enter():
			return x, export, token, nil
		}
		// It has just been retired: there is another one, or none.
	}
}

// unknown is why a client gets no disk of an export that there is not.
func (s *Server) unknown(name string) error {
	names, count := s.exports.Some(20)
	there := "there are none"
	switch {
	case count > 0 && len(names) == 0:
		there = fmt.Sprintf("there are %d", count) // the first files have faults
	case count > len(names):
		there = fmt.Sprintf("there are %s, and %d more", strings.Join(names, ", "), count-len(names))
	case count > 0:
		there = "there are " + strings.Join(names, ", ")
	}
	if name == "" {
		return &noExport{"the client names no export, and the server has no size= for that: " + there}
	}
	return &noExport{fmt.Sprintf("export %.100q: there is no such export: %s", name, there)}
}

// A noExport is about a client that asks for what there is not.
type noExport struct{ text string }

func (e *noExport) Error() string { return e.text + ": " + unix.ENOENT.Error() }
func (*noExport) Unwrap() error   { return unix.ENOENT }

// graceOf is how long a disk of an export waits that an earlier server has left.
// That of an export that is not there now, or has no sessions now, waits for a
// while: its file may come back. So does one of which nobody knows the export.
func (s *Server) graceOf(name string) time.Duration {
	if x := s.lookup(name); x != nil && x.policy().Grace > 0 {
		return x.policy().Grace
	}
	return max(s.cfg.Session.Grace, 24*time.Hour)
}
