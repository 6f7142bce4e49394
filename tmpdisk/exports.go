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
		list = append(list, Export{"", s.own.cfg.Described()})
	}
	for _, x := range s.exports.All() {
		list = append(list, Export{x.name, x.cfg.Described()})
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

// An ask is what a client asks for by a name.
type ask struct {
	x      *liveExport // entered
	export string
	size   int64  // 0 is the export's
	token  string // of a session; "" if it asks for none
}

func (s *Server) find(name string) (a ask, err error) {
	a.export = name
	if s.sessions != nil {
		if a.export, a.token, _, err = keep.ParseName(name); err != nil {
			return ask{}, err
		}
	}
	name = a.export
	for {
		if a.x, a.export, a.size, err = s.lookupSized(name); err != nil {
			return ask{}, err
		}
		switch {
		case a.x == nil:
			return ask{}, s.unknown(name)
		case a.token != "" && a.x.policy().Grace == 0:
			return ask{}, &noExport{fmt.Sprintf("export %q: has no sessions: give it session-grace=, or ask for it without a slash", a.export)}
		case a.token == "" && a.x.cfg.Session.Token && a.x.policy().Grace > 0:
			return ask{}, &noExport{fmt.Sprintf("export %.100q: a client must name a session (session-token=required): ask for %.100q", name, name+"/TOKEN")}
		case a.x.enter():
			return a, nil
		}
		// It has just been retired: there is another one, or none.
	}
}

// lookupSized is lookup for a name that may have a size, as in scratch:4G.
func (s *Server) lookupSized(name string) (x *liveExport, export string, size int64, err error) {
	i := strings.LastIndexByte(name, ':') // no name of a file in export-dir has one
	if i >= 0 {
		x = s.lookup(name[:i])
	}
	if x == nil || x.cfg.SizeMax == 0 {
		return s.lookup(name), name, 0, nil
	}
	if size, err = x.cfg.SizeOf(name[i+1:]); err != nil {
		return nil, "", 0, fmt.Errorf("export %.100q: %w: %w", name, err, unix.EINVAL)
	}
	return x, name[:i], size, nil
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
	if s.exports.Hangs(name) {
		return fmt.Errorf("export %.100q: export-dir, or a file or directory that this export names, does not answer, "+
			"so it is not known if there is such an export: %s: %w", name, there, unix.EAGAIN)
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
