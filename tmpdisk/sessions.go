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
)

// A Client is who asks for a disk.
type Client struct {
	Export string // the name that it asked for
	// Owner says who it is, as far as that can be known, and stays the same
	// when it connects again. It is called at most once, on the goroutine of
	// Open.
	Owner func() (string, error)
}

func newSessions(c config.Session, host Host) *session.Sessions {
	if c.Grace == 0 {
		return nil
	}
	return session.New(session.Options{
		Forget: c.Forget, Max: maxWaiting(c, host), Dir: c.Dir, Sync: c.Sync,
		Grace: func(string) time.Duration { return c.Grace },
		Debug: host.Debug, LogError: host.Error,
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

// sessionOf returns the key of the session that the client asks for, and the
// export; "" if it asks for none.
func (s *Server) sessionOf(client Client) (session.Key, string, error) {
	if s.sessions == nil {
		return "", "", nil
	}
	export, token, ok, err := session.ParseName(client.Export)
	if !ok || err != nil {
		return "", "", err
	}
	owner := ""
	if !s.maker.cfg.Session.ByName {
		if owner, err = client.Owner(); err != nil {
			return "", "", fmt.Errorf("parameter session-key: peer: %w: use session-key=name", err)
		}
	}
	return session.NewKey(export, token, owner), export, nil
}

// openSession connects a client to the session of key.
func (s *Server) openSession(ctx context.Context, key session.Key, export string) (*Disk, error) {
	cfg := s.maker.cfg.Session
	policy := session.Policy{Grace: cfg.Grace, Conflict: cfg.Conflict, Fresh: cfg.Fresh}
	c, err := s.sessions.Open(ctx, key, export, policy, func(ctx context.Context) (session.Disk, error) {
		if err := s.room(); err != nil {
			return nil, err
		}
		d, err := s.fresh(ctx)
		if err != nil {
			return nil, err
		}
		return d.file, nil
	})
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	file, ok := c.Disk().(*disk.Disk)
	if !ok {
		s.sessions.Close(c)
		return nil, errors.New("open: the session has another kind of disk")
	}
	return &Disk{Requests: c, file: file, conn: c}, nil
}
