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
	Sync             bool
	Clock            sys.Clock
}

// Stamp makes r what this server says now.
func (s *Server) Stamp(r *Record) {
	r.Used, r.Uptime = s.Clock.Now().UTC(), s.Clock.SinceBoot()
	r.Boot, r.Host, r.Server, r.Sync = s.Boot, s.Host, s.Name, s.Sync
}

// Since is how long ago r.Used was, by the clock that nobody sets where that can tell.
func (s *Server) Since(r *Record) time.Duration {
	if r.Boot == s.Boot && r.Uptime > 0 {
		return max(s.Clock.SinceBoot()-r.Uptime, 0)
	}
	// A clock that was set back by more than a grace is nobody's client.
	return s.Clock.Now().Sub(r.Used).Abs()
}

// Left is when the client of r left, as this server's clock has it: now, if it has not
// left as far as anybody knows.
func (s *Server) Left(r *Record) time.Time {
	now := s.Clock.Now()
	if r.Connected && !r.Orphaned {
		return now
	}
	return now.Add(-s.Since(r))
}

// Waiting describes the disk of r, which nobody has.
func (s *Server) Waiting(r *Record) *keep.Waiting {
	return &keep.Waiting{Key: r.Key, Export: r.Export, Size: r.Size, Since: s.Left(r)}
}
