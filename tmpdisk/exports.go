// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/export"
	"nbdkit-tmpdisk-plugin/tmpdisk/session"
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
	for _, e := range s.exports.All() {
		list = append(list, Export{e.Name, e.Value.cfg.Description})
	}
	return list, true
}

func newExports(s *Server) *export.Dir[*source] {
	if s.cfg.ExportDir == "" {
		return nil
	}
	return export.New(export.Options[*source]{
		Dir: s.cfg.ExportDir,
		Load: func(name string, settings []export.Setting) (*source, error) {
			cfg, err := s.cfg.Export(settings)
			if err != nil {
				return nil, err
			}
			src := s.newSource(name, cfg)
			src.start()
			return src, nil
		},
		Retire:   (*source).retire,
		Debug:    s.host.Debug,
		LogError: func(line string) { s.log.Log("export-dir", line) },
	})
}

// end stops a retired source that nobody waits for.
func (s *Server) end(src *source) {
	s.ending.Add(1)
	go func() {
		defer s.ending.Done()
		src.stop(errors.New("the export has been changed, or removed"))
		s.sources.remove(src)
	}()
}

// find returns the source of an export, acquired, and the name of the session that
// the client asks for: token is "" if it asks for none.
func (s *Server) find(name string) (src *source, exportName, token string, err error) {
	exportName = name
	if s.sessions != nil {
		if exportName, token, _, err = session.ParseName(name); err != nil {
			return nil, "", "", err
		}
	}
	for {
		src := s.own
		if s.exports != nil && exportName != "" {
			src, _ = s.exports.Find(exportName)
		}
		switch {
		case src == nil:
			return nil, "", "", s.unknown(exportName)
		case token != "" && src.cfg.Session.Grace == 0:
			return nil, "", "", &noExport{fmt.Sprintf("export %q: has no sessions: give it session-grace=, or ask for it without a slash", exportName)}
		case src.acquire():
			return src, exportName, token, nil
		}
		// It has just been retired: there is another one, or none.
	}
}

// unknown is why a client gets no disk of an export that there is not.
func (s *Server) unknown(name string) error {
	const enough = 20
	var names []string
	for _, e := range s.exports.All() {
		names = append(names, e.Name)
	}
	there := "there are none"
	switch n := len(names); {
	case n > enough:
		there = fmt.Sprintf("there are %s, and %d more", strings.Join(names[:enough], ", "), n-enough)
	case n > 0:
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
// while: its file may come back.
func (s *Server) graceOf(name string) time.Duration {
	if s.exports == nil || name == "" && s.own != nil {
		return s.cfg.Session.Grace
	}
	if src, ok := s.exports.Find(name); ok && src.cfg.Session.Grace > 0 {
		return src.cfg.Session.Grace
	}
	return max(s.cfg.Session.Grace, s.cfg.Session.Forget)
}
