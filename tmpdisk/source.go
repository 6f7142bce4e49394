// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/maker"
	"nbdkit-tmpdisk-plugin/tmpdisk/pool"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
	"nbdkit-tmpdisk-plugin/tmpdisk/template"
)

// A source makes the disks of one export. Its methods may be called from any
// goroutine; start comes first and stop last.
type source struct {
	name      string // of the export, "" if there is no export-dir
	tally     *tally
	cfg       *config.Config
	server    *Server
	maker     *maker.Maker
	caster    *maker.Caster       // nil if a command makes the disks
	templates *template.Templates // nil if none are used
	pool      *pool.Pool[*Disk]

	mu      sync.Mutex
	users   int  // who are about to get a disk
	retired bool // takes no more of them
}

// newSource returns the source of what cfg, which must be complete, describes. It
// touches nothing yet.
func (s *Server) newSource(name string, cfg *config.Config) *source {
	src := &source{name: name, tally: s.register.tally(name), cfg: cfg, server: s, maker: maker.New(maker.Options{
		Config: cfg, Dir: s.tmpdir, Runner: s.runner, Counts: &s.commands, Debug: s.host.Debug, Error: s.host.Error,
	})}
	spares := cfg.SpareDisks
	switch {
	case cfg.Builtin():
		// A cast takes no longer than it takes to fetch a spare disk.
		src.caster, spares = maker.NewCaster(src.maker, s.molds.Wait, func() { src.pool.SetSpares(cfg.SpareDisks) }), 0
		if cfg.TemplateDir != "" {
			s.host.Debug("parameter template-dir: disks of type=" + cfg.Type + " need no template (ignored)")
		}
	case cfg.TemplateDir != "":
		src.templates = template.New(template.Options{
			Dir: cfg.TemplateDir, Keep: cfg.TemplateKeep, Unattended: &s.unattended, Debug: s.host.Debug, Error: s.host.Error,
		}, src.maker)
	}
	src.pool = pool.New(pool.Options[*Disk]{
		Spares:   spares,
		Jobs:     s.jobs,
		Room:     src.checkSpaceForSpare,
		Fresh:    func(d *Disk) bool { return d.key == src.key() },
		Debug:    s.host.Debug,
		LogError: s.host.Error,
	}, src.make)
	s.sources.add(src)
	return src
}

// start begins to make what is made ahead.
func (src *source) start() {
	if src.templates != nil {
		if err := src.templates.Sweep(); err != nil {
			// So will be each client's open; here the administrator sees it.
			src.server.host.Error(err.Error())
		}
	}
	if src.caster != nil {
		src.caster.Start()
	}
	src.pool.Start()
}

// stop ends what is being made, for the reason why, and drops what is ready.
func (src *source) stop(why error) {
	src.pool.Stop()
	if src.templates != nil {
		src.templates.Stop(why)
	}
	if src.caster != nil {
		src.caster.Stop(why)
	}
}

// acquire reports whether the caller may have disks made, until release.
func (src *source) acquire() bool {
	src.mu.Lock()
	defer src.mu.Unlock()
	if !src.retired {
		src.users++
	}
	return !src.retired
}

func (src *source) release() {
	src.mu.Lock()
	src.users--
	over := src.retired && src.users == 0
	src.mu.Unlock()
	if over {
		src.server.end(src)
	}
}

// retire keeps new clients away. Those who wait for a disk get it, and nothing is
// ready for anyone any more.
func (src *source) retire() {
	src.mu.Lock()
	src.retired = true
	over := src.users == 0
	src.mu.Unlock()
	if over {
		src.server.end(src)
		return
	}
	// Not here: to close what was ready may take long.
	src.server.ending.Add(1)
	go func() {
		defer src.server.ending.Done()
		src.pool.Retire()
	}()
}

// open returns a disk for a client; see Server.Open.
func (src *source) open(withClient withClient) (*Disk, error) {
	if err := src.ensureSpace(); err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	if !src.casts() {
		return withClient(src.fresh)
	}
	// By way of withClient a cast would take a quarter as long again.
	d, err := src.fresh(context.Background())
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return d, nil
}

// kind is how its disks are made, and how many bytes of memory that takes.
func (src *source) kind() (kind string, mold int64) {
	switch {
	case src.templates != nil:
		return status.KindTemplate, 0
	case src.caster == nil:
		return status.KindCommand, 0
	}
	mold, ok := src.caster.Mold()
	if !ok {
		return status.KindMkfs, 0
	}
	return status.KindMold, mold
}

// stats are the pool's; a mold is made as a disk is.
func (src *source) stats() pool.Stats {
	p := src.pool.Stats()
	if src.caster != nil && src.caster.Making() {
		p.Making++
	}
	return p
}

func (src *source) isRetired() bool {
	src.mu.Lock()
	defer src.mu.Unlock()
	return src.retired
}

// casts reports whether a disk can be had at once, from memory.
func (src *source) casts() bool { return src.caster != nil && src.caster.Casts() }

// fresh returns a disk that no client has used.
func (src *source) fresh(ctx context.Context) (*Disk, error) {
	if src.caster != nil {
		// Not by a maker of the pool, of which there may be one at a time: mkfs
		// waits for its turn as well.
		if err := src.caster.Wait(ctx); err != nil {
			return nil, err
		}
		if src.caster.Casts() {
			if d, ok := src.pool.Take(); ok {
				return d, nil
			}
			return src.make(ctx)
		}
	}
	return src.pool.Get(ctx)
}

// make is what the pool makes disks by.
func (src *source) make(ctx context.Context) (*Disk, error) {
	key, began := src.key(), time.Now()
	fresh, how := src.maker.Fresh, status.Made
	switch {
	case src.caster != nil:
		fresh, how = src.caster.Make, status.Cast
	case src.templates != nil:
		fresh, how = src.templates.Make, status.Clone
	}
	d, err := fresh(ctx)
	if err == nil {
		if err = src.maker.Servable(d); err != nil {
			err = errors.Join(err, d.Close())
		}
	}
	if err != nil {
		return nil, err
	}
	n := newDisk(d, src)
	n.key, n.how, n.made = key, how, time.Now()
	src.tally.make.Observe(time.Since(began))
	return n, nil
}

// key changes when disks that are made from now on may have another content.
// Without templates nobody has asked for that: a command may well keep a log in
// a file that a parameter names.
func (src *source) key() string {
	if src.templates == nil {
		return ""
	}
	return src.maker.Key()
}

// sources are those that have not been stopped.
type sources struct {
	mu  sync.Mutex
	set map[*source]struct{}
}

func (s *sources) add(src *source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set == nil {
		s.set = map[*source]struct{}{}
	}
	s.set[src] = struct{}{}
}

func (s *sources) remove(src *source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.set, src)
}

func (s *sources) all() []*source {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.set))
}
