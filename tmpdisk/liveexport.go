// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/maker"
	"nbdkit-tmpdisk-plugin/tmpdisk/minfree"
	"nbdkit-tmpdisk-plugin/tmpdisk/register"
	"nbdkit-tmpdisk-plugin/tmpdisk/supply"
)

// A liveExport is an export that clients are served, until its file changes or goes.
// Its methods may be called from any goroutine.
type liveExport struct {
	name   string // "" if there is no export-dir
	tally  *register.Tally
	cfg    *config.Config
	server *Server
	disks  *supply.Supply

	mu      sync.Mutex
	users   int  // who are about to get a disk
	retired bool // takes no more of them
}

// newExport returns the export that cfg, which must be complete, describes. It
// touches nothing yet.
func (s *Server) newExport(name string, cfg *config.Config) *liveExport {
	x := &liveExport{name: name, tally: s.register.Tally(name), cfg: cfg, server: s}
	x.disks = supply.New(supply.Options{
		Options: maker.Options{
			Config: cfg, Dir: s.tmpdir, Runner: s.runner, Counts: &s.commands, Tried: &s.tried, Debug: s.host.Debug, Error: s.host.Error,
		},
		Jobs: s.jobs, Molds: s.molds, Unattended: &s.unattended,
		CheckSpace: x.checkSpaceForSpare, Made: x.tally.Make.Observe,
	})
	s.live.Store(x, nil)
	return x
}

// enter reports whether the caller may have disks made, until it calls leave.
func (x *liveExport) enter() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.retired {
		x.users++
	}
	return !x.retired
}

func (x *liveExport) leave() {
	x.mu.Lock()
	x.users--
	last := x.retired && x.users == 0
	x.mu.Unlock()
	if last {
		x.end()
	}
}

// retire keeps new clients away. Those who wait for a disk get it, and nothing is
// ready for anyone any more.
func (x *liveExport) retire() {
	x.mu.Lock()
	x.retired = true
	unused := x.users == 0
	x.mu.Unlock()
	if unused {
		x.end()
	} else {
		x.server.inBackground(x.disks.Retire)
	}
}

// end stops a retired export that nobody waits for.
func (x *liveExport) end() {
	x.server.inBackground(func() {
		x.disks.Stop(errors.New("the export has been changed, or removed"))
		x.server.live.Delete(x)
		x.server.register.Release(x.tally)
	})
}

func (x *liveExport) isRetired() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.retired
}

// inBackground runs f, for the end of which Stop waits.
func (s *Server) inBackground(f func()) {
	s.ending.Begins()
	go func() {
		defer s.ending.Ends()
		f()
	}()
}

// liveExports are those that have not been stopped, by name.
func (s *Server) liveExports() (list []*liveExport) {
	s.live.Range(func(x, _ any) bool {
		list = append(list, x.(*liveExport))
		return true
	})
	slices.SortFunc(list, func(a, b *liveExport) int { return cmp.Compare(a.name, b.name) })
	return list
}

// open connects a client, who came then, to a disk of its own, of size bytes or, if that is
// 0, of the export's size; see Server.Open.
func (x *liveExport) open(size int64, came time.Time, withClient withClient) (*Connection, error) {
	take := func(ctx context.Context) (*Connection, error) {
		if err := x.ensureSpace(ctx, false); err != nil {
			return nil, fmt.Errorf("open: %w", err)
		}
		d, err := x.disks.Take(ctx, size)
		if err != nil {
			return nil, err
		}
		return newConnection(x, d, came), nil
	}
	if size != 0 || !x.disks.AtOnce() || x.cfg.MinFree != (minfree.Limit{}) {
		return withClient(take)
	}
	// By way of withClient a cast would take a quarter as long again.
	c, err := take(context.Background())
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return c, nil
}

// ensureSpace is why there is too little space for one more client's disk, which may
// come to be a session's, or nil. Disks that wait for their clients are dropped for it.
func (x *liveExport) ensureSpace(ctx context.Context, forSession bool) error {
	s, dirs := x.server, []string{x.server.tmpdir}
	if forSession && s.sessionDir != s.tmpdir {
		dirs = append(dirs, s.sessionDir)
	}
	if s.sessions == nil {
		return aboutMinFree(s.spaces.Check(ctx, x.cfg.MinFree, dirs...))
	}
	return aboutMinFree(s.spaces.Ensure(ctx, x.cfg.MinFree, dirs, s.sessionDir, s.sessions.DropOldest))
}

// checkSpaceForSpare is why no spare disk of so many bytes may be made now, or nil: a
// full filesystem is not tried again and again. One that hangs must not keep the turn
// of those who make disks.
func (x *liveExport) checkSpaceForSpare(bytes uint64) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s := x.server
	if err := aboutMinFree(s.spaces.Check(ctx, x.cfg.MinFree, s.tmpdir)); err != nil {
		return err
	}
	return s.spaces.Check(ctx, minfree.Limit{Bytes: bytes}, s.tmpdir)
}

func aboutMinFree(err error) error {
	if err != nil {
		err = fmt.Errorf("parameter min-free: %w", err)
	}
	return err
}
