// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/session"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/files"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// newSessions returns nil if there can be none.
func (s *Server) newSessions() *session.Sessions {
	c := s.cfg.Session
	if c.Grace == 0 && s.exports == nil {
		return nil
	}
	return session.New(session.Options{
		Options: files.Options{
			Path: s.sessionDir, AtStart: c.Grace != 0 || c.Dir != "", Sync: c.Sync,
			Grace: s.graceOf, Config: disksOf(s.cfg), Debug: s.host.Debug, LogError: s.sessionError,
		},
		Max:    c.Max,
		Waits:  func(k keep.Key) { s.register.Waits(k) },
		Gone:   func(k keep.Key) { s.register.Gone(k) },
		Failed: func(k keep.Key) { s.register.Failed(k) },
		Found: func(w keep.Waiting) {
			if s.exports == nil {
				w.Export = "" // a name that a client has chosen: they are one export
			}
			s.register.Found(w.Key, w.Export, s.lookup(w.Export) != nil, w.Size, w.Since)
		},
	})
}

// disksOf tells servers that make different disks apart, which may have one session-dir
// because nobody has given them others.
func disksOf(c *config.Config) string {
	return sys.NewFieldHash(c.ExportDir, fmt.Sprint(c.Size), c.Type, c.Command, c.Base).String()[:16]
}

// sessionError logs a line. Clients can cause any number of those about one session, by
// having the disks of others make room.
func (s *Server) sessionError(line string) {
	if strings.HasPrefix(line, "session ") {
		s.log.Log("session", line)
		return
	}
	s.host.Error(line)
}

// policy says how the sessions of the export are. It has none if Grace is 0.
func (x *liveExport) policy() session.Policy {
	c := x.cfg.Session
	return session.Policy{Grace: c.Grace, Share: c.Share, Fresh: c.Fresh}
}

// openSession connects a client, who came then, to a session, which keeps its size: if the
// client names one, it must be that.
func (x *liveExport) openSession(export string, size int64, key keep.Key, came time.Time, withClient withClient) (*Connection, error) {
	sessions := x.server.sessions
	return withClient(func(ctx context.Context) (*Connection, error) {
		how := status.Resumed
		conn, err := sessions.Open(ctx, key, export, x.policy(), func(ctx context.Context) (disk.Interface, error) {
			if err := x.ensureSpace(ctx, true); err != nil {
				return nil, err
			}
			d, err := x.disks.Take(ctx, size)
			if err != nil {
				return nil, err
			}
			how = d.Outcome(came)
			return d.Interface, nil
		})
		if err != nil {
			return nil, fmt.Errorf("open: %w", err)
		}
		if is := conn.Disk().Size(); size != 0 && size != is {
			sessions.Close(conn)
			return nil, fmt.Errorf("open: export %q: the session's disk has %d bytes, not %d: ask for it without a size: %w", export, is, size, unix.EINVAL)
		}
		return &Connection{Requests: conn, file: conn.Disk(), export: x, session: conn, how: how}, nil
	})
}
