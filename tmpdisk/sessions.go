// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/session"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
)

// newSessions returns nil if there can be none.
func (s *Server) newSessions() *session.Sessions {
	c := s.cfg.Session
	if c.Grace == 0 && s.exports == nil {
		return nil
	}
	return session.New(session.Options{
		Grace: s.graceOf, Forget: c.Forget, Max: maxWaiting(c, s.host),
		Waits: func(k session.Key) { s.register.Waits(k) },
		Gone:  func(k session.Key) { s.register.Gone(k) },
		Found: func(w session.Waiting) {
			if s.exports == nil {
				w.Export = "" // a name that a client has chosen: they are one export
			}
			s.register.Found(w.Key, w.Export, w.Size, w.Since)
		},
		Dir: c.Dir, Sync: c.Sync, Debug: s.host.Debug, LogError: s.host.Error,
	})
}

// maxWaiting is how many disks may wait. One in memory costs a descriptor, and those
// of clients who have left must not keep others out: they get half of them.
func maxWaiting(c config.Session, host Host) int {
	var limit unix.Rlimit
	if c.Dir != "" || unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil || limit.Cur/2 >= uint64(c.Max) {
		return c.Max
	}
	half := max(int(limit.Cur/2), 1)
	host.Debug(fmt.Sprintf("parameter session-max: %d instead of %d: the server may open %d files only", half, c.Max, limit.Cur))
	return half
}

// policy says how the sessions of the export are. It has none if Grace is 0.
func (x *liveExport) policy() session.Policy {
	c := x.cfg.Session
	return session.Policy{Grace: c.Grace, Conflict: c.Conflict, Fresh: c.Fresh}
}

// openSession connects a client, who came then, to a session.
func (x *liveExport) openSession(export string, key session.Key, came time.Time, withClient withClient) (*Connection, error) {
	sessions := x.server.sessions
	return withClient(func(ctx context.Context) (*Connection, error) {
		how := status.Resumed
		conn, err := sessions.Open(ctx, key, export, x.policy(), func(ctx context.Context) (session.Disk, error) {
			if err := x.ensureSpace(ctx, true); err != nil {
				return nil, err
			}
			d, err := x.disks.Take(ctx)
			if err != nil {
				return nil, err
			}
			how = d.Outcome(came)
			return d.Disk, nil
		})
		if err != nil {
			return nil, fmt.Errorf("open: %w", err)
		}
		file, ok := conn.Disk().(*disk.Disk)
		if !ok {
			sessions.Close(conn)
			return nil, errors.New("open: the session has another kind of disk")
		}
		return &Connection{Requests: conn, file: file, export: x, session: conn, how: how}, nil
	})
}
