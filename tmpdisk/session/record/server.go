// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// A Server is what one writes of itself, and how it reads the times of others.
type Server struct {
	Name, Host, Boot string
	Config           string // see files.Options
	Sync             bool
	Clock            sys.Clock
	Grace            func(export string) time.Duration // or nil
}

// Stamp makes r what this server says now.
func (s *Server) Stamp(r *Record) {
	r.Used, r.Uptime = s.Clock.Now().UTC(), s.Clock.SinceBoot()
	r.Boot, r.Host, r.Server, r.Sync, r.Torn = s.Boot, s.Host, s.Name, s.Sync, false
	if r.Lost == "" && s.Grace != nil {
		r.Grace, r.Config = s.Grace(r.Export), s.Config
	}
}

// Age is how long ago r was stamped. ok is false if nobody can know: what was stamped
// before this boot, or on another machine, has the time of a clock that was set, and a
// record may have been another one since.
func (s *Server) Age(r *Record) (age time.Duration, ok bool) {
	if r.Torn || s.Boot == "" || r.Boot != s.Boot || r.Uptime <= 0 {
		return 0, false
	}
	// A time namespace has a boot of its own, with the same ID.
	return max(min(s.Clock.SinceBoot()-r.Uptime, s.Clock.Now().Sub(r.Used)), 0), true
}

// MayHaveCrashed reports whether the machine that the disk of r was written on last may have
// crashed since.
func (s *Server) MayHaveCrashed(r *Record) bool {
	return r.Crashed || r.Boot != s.Boot || s.Boot == ""
}

// Left is when the client of r left, as this server's clock has it: now, if it may not
// have left. Where the age is not known it is good for an order only.
func (s *Server) Left(r *Record) time.Time {
	now := s.Clock.Now()
	age, ok := s.Age(r)
	switch {
	case r.Connected && !r.Orphaned, r.Torn:
		age = 0
	case !ok:
		age = max(now.Sub(r.Used), 0)
	}
	return now.Add(-age)
}

// Waits is how long the disk of r waits, if it is grace for what this server has left: as
// long as with the server that wrote r, if that one's exports are others.
func (s *Server) Waits(r *Record, grace time.Duration) time.Duration {
	if r.Config != s.Config {
		grace = max(grace, r.Grace)
	}
	return grace
}

// Waiting describes the disk of r, which nobody has.
func (s *Server) Waiting(r *Record) *keep.Waiting {
	return &keep.Waiting{Key: r.Key, Export: r.Export, Size: r.Size, Since: s.Left(r), Version: r.Version()}
}
