// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/maker"
	"nbdkit-tmpdisk-plugin/tmpdisk/pool"
	"nbdkit-tmpdisk-plugin/tmpdisk/register"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
	"nbdkit-tmpdisk-plugin/tmpdisk/template"
)

// A liveExport makes the disks of one export, until its file changes or goes. Its
// methods may be called from any goroutine; start comes first and stop last.
type liveExport struct {
	name      string // "" if there is no export-dir
	tally     *register.Tally
	cfg       *config.Config
	server    *Server
	maker     *maker.Maker
	caster    *maker.Caster       // nil if a command makes the disks
	templates *template.Templates // nil if none are used
	pool      *pool.Pool[*freshDisk]

	mu      sync.Mutex
	users   int  // who are about to get a disk
	retired bool // takes no more of them
}

// newExport returns the export that cfg, which must be complete, describes. It
// touches nothing yet.
func (s *Server) newExport(name string, cfg *config.Config) *liveExport {
	x := &liveExport{name: name, tally: s.register.Tally(name), cfg: cfg, server: s, maker: maker.New(maker.Options{
		Config: cfg, Dir: s.tmpdir, Runner: s.runner, Counts: &s.commands, Debug: s.host.Debug, Error: s.host.Error,
	})}
	spares := cfg.SpareDisks
	switch {
	case cfg.Builtin():
		// A cast takes no longer than it takes to fetch a spare disk.
		x.caster, spares = maker.NewCaster(x.maker, s.molds.Wait, func() { x.pool.SetSpares(cfg.SpareDisks) }), 0
		if cfg.TemplateDir != "" {
			s.host.Debug("parameter template-dir: disks of type=" + cfg.Type + " need no template (ignored)")
		}
	case cfg.TemplateDir != "":
		x.templates = template.New(template.Options{
			Dir: cfg.TemplateDir, Keep: cfg.TemplateKeep, Unattended: &s.unattended, Debug: s.host.Debug, Error: s.host.Error,
		}, x.maker)
	}
	x.pool = pool.New(pool.Options[*freshDisk]{
		Spares:   spares,
		Jobs:     s.jobs,
		Room:     x.checkSpaceForSpare,
		Fresh:    func(d *freshDisk) bool { return d.key == x.key() },
		Debug:    s.host.Debug,
		LogError: s.host.Error,
	}, x.make)
	s.live.Store(x, nil)
	return x
}

// start begins to make what is made ahead.
func (x *liveExport) start() {
	if x.templates != nil {
		if err := x.templates.Sweep(); err != nil {
			// So will be each client's open; here the administrator sees it.
			x.server.host.Error(err.Error())
		}
	}
	if x.caster != nil {
		x.caster.Start()
	}
	x.pool.Start()
}

// stop ends what is being made, for the reason why, and drops what is ready.
func (x *liveExport) stop(why error) {
	x.pool.Stop()
	if x.templates != nil {
		x.templates.Stop(why)
	}
	if x.caster != nil {
		x.caster.Stop(why)
	}
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
		return
	}
	x.server.inBackground(x.pool.Retire) // to close what was ready may take long
}

// end stops a retired export that nobody waits for.
func (x *liveExport) end() {
	x.server.inBackground(func() {
		x.stop(errors.New("the export has been changed, or removed"))
		x.server.live.Delete(x)
	})
}

func (x *liveExport) isRetired() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.retired
}

// inBackground runs f, for the end of which Stop waits.
func (s *Server) inBackground(f func()) {
	s.ending.Add(1)
	go func() {
		defer s.ending.Done()
		f()
	}()
}

// liveExports are those that have not been stopped.
func (s *Server) liveExports() (list []*liveExport) {
	s.live.Range(func(x, _ any) bool {
		list = append(list, x.(*liveExport))
		return true
	})
	return list
}

// open connects a client, who came then, to a disk of its own; see Server.Open.
func (x *liveExport) open(came time.Time, withClient withClient) (*Connection, error) {
	if err := x.ensureSpace(); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	open := func(ctx context.Context) (*Connection, error) {
		d, err := x.take(ctx)
		if err != nil {
			return nil, err
		}
		return newConnection(x, d, came), nil
	}
	if !x.casts() {
		return withClient(open)
	}
	// By way of withClient a cast would take a quarter as long again.
	c, err := open(context.Background())
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return c, nil
}

// kind is how its disks are made, and how many bytes of memory that takes.
func (x *liveExport) kind() (kind string, mold int64) {
	switch {
	case x.templates != nil:
		return status.KindTemplate, 0
	case x.caster == nil:
		return status.KindCommand, 0
	}
	mold, ok := x.caster.Mold()
	if !ok {
		return status.KindMkfs, 0
	}
	return status.KindMold, mold
}

// stats are the pool's; a mold is made as a disk is.
func (x *liveExport) stats() pool.Stats {
	p := x.pool.Stats()
	if x.caster != nil && x.caster.Making() {
		p.Making++
	}
	return p
}

// casts reports whether a disk can be had at once, from memory.
func (x *liveExport) casts() bool { return x.caster != nil && x.caster.Casts() }

// take returns a disk that no client has used.
func (x *liveExport) take(ctx context.Context) (*freshDisk, error) {
	if x.caster != nil {
		// Not by a maker of the pool, of which there may be one at a time: mkfs
		// waits for its turn as well.
		if err := x.caster.Wait(ctx); err != nil {
			return nil, err
		}
		if x.caster.Casts() {
			if d, ok := x.pool.Take(); ok {
				return d, nil
			}
			return x.make(ctx)
		}
	}
	return x.pool.Get(ctx)
}

// A freshDisk is one that no client has used.
type freshDisk struct {
	*disk.Disk
	key      string         // what decided the content when it was made; see liveExport.key
	how      status.Outcome // how it was made
	made     time.Time
	returned bool // by a client that did not use it
}

// outcome is how a client that came then gets the disk.
func (d *freshDisk) outcome(came time.Time) status.Outcome {
	switch {
	case d.returned:
		return status.Returned
	case d.made.Before(came):
		return status.Spare
	}
	return d.how
}

// make is what the pool makes disks by.
func (x *liveExport) make(ctx context.Context) (*freshDisk, error) {
	key, began := x.key(), time.Now()
	fresh, how := x.maker.Fresh, status.Made
	switch {
	case x.caster != nil:
		fresh, how = x.caster.Make, status.Cast
	case x.templates != nil:
		fresh, how = x.templates.Make, status.Clone
	}
	d, err := fresh(ctx)
	if err != nil {
		return nil, err
	}
	if err := x.maker.Servable(d); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	x.tally.Make.Observe(time.Since(began))
	return &freshDisk{Disk: d, key: key, how: how, made: time.Now()}, nil
}

// key changes when disks that are made from now on may have another content.
// Without templates nobody has asked for that: a command may well keep a log in
// a file that a parameter names.
func (x *liveExport) key() string {
	if x.templates == nil {
		return ""
	}
	return x.maker.Key()
}
