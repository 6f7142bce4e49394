// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package supply

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/maker"
	"nbdkit-tmpdisk-plugin/tmpdisk/overlay"
	"nbdkit-tmpdisk-plugin/tmpdisk/pool"
	"nbdkit-tmpdisk-plugin/tmpdisk/status"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
	"nbdkit-tmpdisk-plugin/tmpdisk/template"
)

// Options say which disks are made, and what is the whole server's.
type Options struct {
	maker.Options
	Jobs       *pool.Jobs // of commands
	Molds      *maker.Turns
	Unattended *template.Unattended
	// CheckSpace returns an error if there is too little space for a spare disk,
	// which will most likely take so many bytes.
	CheckSpace func(bytes uint64) error
	Made       func(took time.Duration) // is called for each disk that has been made
}

// A Supply has the fresh disks of an export. Its methods may be called from any
// goroutine; Start comes first and Stop last.
type Supply struct {
	opts      Options
	maker     *maker.Maker
	caster    *maker.Caster       // nil if a command makes the disks
	based     *maker.Based        // nil if there is no base=
	templates *template.Templates // nil if none are used
	pool      *pool.Pool[*Fresh]
	sizes     sizes
	turns     chan struct{} // those of sizes that this is one of; nil if it is none
	files     *sys.Asker    // what decides the content of templates, and template-dir
}

// patience is how long files may take to answer. Whoever asks has a turn in make-jobs,
// for which other exports wait.
const patience = 2 * time.Second

// A Fresh is a disk that no client has used.
type Fresh struct {
	disk.Interface
	key      string         // what decided the content when it was made; see Supply.key
	how      status.Outcome // how it was made
	made     time.Time
	returned bool // by a client that did not use it
	named    bool // its size was, by its client: it is for no other
}

// Outcome is how a client that came then gets the disk.
func (f *Fresh) Outcome(came time.Time) status.Outcome {
	switch {
	case f.returned:
		return status.Returned
	case f.made.Before(came):
		return status.Spare
	}
	return f.how
}

// New returns a Supply. It touches nothing yet.
func New(o Options) *Supply {
	s := &Supply{opts: o, maker: maker.New(o.Options), files: sys.NewAsker()}
	cfg := o.Config
	s.sizes.all, s.sizes.maxMolds, s.sizes.maxFiles = map[int64]*sized{}, maxIdleMolds, maxIdleFiles
	s.sizes.make = func(size int64) *Supply {
		cfg := *cfg
		// Neither spares nor templates, which stay when the clients have gone.
		cfg.Size, cfg.SpareDisks, cfg.TemplateDir = size, 0, ""
		o := o
		o.Config, o.Molds = &cfg, o.Molds.Named()
		o.Error = o.Debug // the client is told: the log must not be as long as clients like
		named := New(o)
		named.turns = s.sizes.turns
		return named
	}
	s.sizes.turns = make(chan struct{}, o.Jobs.Slots())
	switch {
	case cfg.Base != "":
		s.based = maker.NewBased(s.maker)
		if cfg.SpareDisks != 0 || cfg.TemplateDir != "" {
			o.Debug("parameter base: its disks need no spare-disks and no template-dir (ignored)")
		}
	case cfg.Builtin():
		// A cast takes no longer than it takes to fetch a spare disk.
		s.caster = maker.NewCaster(s.maker, o.Molds, func() { s.pool.Start() })
		if cfg.TemplateDir != "" {
			o.Debug("parameter template-dir: disks of type=" + cfg.Type + " need no template (ignored)")
		}
	case cfg.TemplateDir != "":
		s.templates = template.New(template.Options{
			Dir: cfg.TemplateDir, Unattended: o.Unattended, Debug: o.Debug, Error: o.Error,
		}, s.maker)
	}
	s.pool = pool.New(pool.Options[*Fresh]{
		Spares: cfg.SpareDisks,
		Jobs:   o.Jobs,
		Room:   func() error { return o.CheckSpace(s.maker.Space()) },
		Fresh: func(f *Fresh) bool {
			key, err := s.key()
			return err == nil && f.key == key
		},
		Debug:    o.Debug,
		LogError: o.Error,
	}, s.make)
	return s
}

// Start begins to make what is made ahead.
func (s *Supply) Start() {
	if s.templates != nil {
		if err := s.templates.Sweep(); err != nil {
			// So will be each client's open; here the administrator sees it.
			s.opts.Error(err.Error())
		}
	}
	switch {
	case s.based != nil:
	case s.caster != nil:
		s.caster.Start()
	default:
		s.pool.Start()
	}
}

// tryPatience is less than a client waits for an export whose file has changed.
const tryPatience = 500 * time.Millisecond

// Try returns why a disk of a built-in type can never be made. If mkfs takes longer than
// that is waited for, it returns nil.
func (s *Supply) Try() error {
	if s.caster == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), tryPatience)
	defer cancel()
	return s.caster.Try(ctx)
}

// Stop ends what is being made, for the reason why, and drops what is ready. It returns
// when that has ended, which a filesystem that hangs may keep from happening.
func (s *Supply) Stop(why error) {
	// All that can be ended is, before anything is waited for that may hang.
	s.end(why)
	s.pool.Stop()
	if s.templates != nil {
		s.templates.Stop(why)
	}
	if s.caster != nil {
		s.caster.Stop(why)
	}
	if s.based != nil {
		s.based.Stop()
	}
	s.sizes.stop(why)
}

// end ends what is being made, and does not wait for it.
func (s *Supply) end(why error) {
	s.pool.End()
	if s.templates != nil {
		s.templates.End(why)
	}
	if s.caster != nil {
		s.caster.End(why)
	}
	s.sizes.end(why)
}

// Retire drops what is ready, and keeps nothing from now on. Those who wait for a
// disk get it. It may take long.
func (s *Supply) Retire() {
	s.pool.Retire()
	s.sizes.each((*Supply).Retire)
}

// AtOnce reports whether Take needs nothing but memory and filesystems of this machine.
func (s *Supply) AtOnce() bool {
	return s.caster != nil && s.caster.Casts() || s.based != nil && s.based.AtOnce()
}

// Take returns a disk that no client has used, of size bytes; 0 is the export's own size.
func (s *Supply) Take(ctx context.Context, size int64) (*Fresh, error) {
	if s.based != nil { // one for all sizes, because the image may hang
		return s.makeSized(ctx, size)
	}
	if size != 0 && size != s.opts.Config.Size {
		return s.sizes.take(ctx, size)
	}
	if s.caster == nil {
		return s.get(ctx)
	}
	// Not by a maker of the pool, of which there may be one at a time: mkfs
	// waits for its turn as well.
	if err := s.caster.Wait(ctx); err != nil {
		return nil, err
	}
	if !s.caster.Casts() {
		return s.get(ctx)
	}
	return s.make(ctx)
}

// get is a disk of the pool's.
func (s *Supply) get(ctx context.Context) (*Fresh, error) {
	if s.turns != nil {
		select {
		case s.turns <- struct{}{}:
			defer func() { <-s.turns }()
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for others who name sizes: %w", sys.ContextError(ctx))
		}
	}
	return s.pool.Get(ctx)
}

// Return takes back a disk of a client that is gone. One that the client has not
// used is another's, unless to cast another takes no longer than to hand it out again.
func (s *Supply) Return(f *Fresh) {
	if s.based != nil || f.named || s.AtOnce() {
		if err := f.Close(); err != nil {
			s.opts.Debug(fmt.Sprintf("%v (ignored)", err))
		}
		return
	}
	f.returned = true
	s.pool.Put(f)
}

// make is what the pool makes disks by.
func (s *Supply) make(ctx context.Context) (*Fresh, error) { return s.makeSized(ctx, 0) }

// makeSized is make for a disk of size bytes, if that is not 0 and there is a base.
func (s *Supply) makeSized(ctx context.Context, size int64) (*Fresh, error) {
	began := time.Now()
	key, err := s.key()
	if err != nil {
		return nil, err
	}
	d, how, err := s.fresh(ctx, size)
	if err != nil {
		return nil, err
	}
	switch d := d.(type) {
	case *overlay.Disk:
		how = status.Overlay
	case *disk.Disk:
		if err := maker.Servable(d); err != nil {
			return nil, errors.Join(err, d.Close())
		}
	}
	s.opts.Made(time.Since(began))
	return &Fresh{Interface: d, key: key, how: how, made: time.Now()}, nil
}

func (s *Supply) fresh(ctx context.Context, size int64) (d disk.Interface, how status.Outcome, err error) {
	switch {
	case s.based != nil:
		d, err = s.based.Make(ctx, size)
		return d, status.Overlay, err
	case s.caster != nil:
		d, err = s.caster.Make(ctx)
		return d, status.Cast, err
	case s.templates != nil:
		d, err = s.templates.Make(ctx)
		return d, status.Clone, err
	}
	file, err := s.maker.Fresh(ctx)
	if err != nil {
		return nil, 0, err
	}
	return file, status.Made, nil
}

// key changes when disks that are made from now on may have another content.
// Without templates nobody has asked for that: a command may well keep a log in
// a file that a parameter names.
func (s *Supply) key() (string, error) {
	if s.templates == nil {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	dir, key := s.opts.Config.TemplateDir, make(chan string, 1)
	ok := s.files.Ask(ctx, func() {
		_, _ = os.Stat(dir) // whether it answers is all that counts
		key <- s.maker.Key()
	}, nil)
	if !ok {
		return "", fmt.Errorf("template-dir: %s: it, or a file that a parameter names, does not answer", dir)
	}
	return <-key, nil
}

// Kind is how the disks are made (status.KindMold and others), and how many bytes of
// memory that takes.
func (s *Supply) Kind() (kind string, molds int64) {
	s.sizes.each(func(s *Supply) {
		_, mold := s.Kind()
		molds += mold
	})
	switch {
	case s.based != nil:
		return status.KindBase, 0
	case s.templates != nil:
		return status.KindTemplate, 0
	case s.caster == nil:
		return status.KindCommand, 0
	}
	mold, ok := s.caster.Mold()
	if !ok {
		return status.KindMkfs, molds
	}
	return status.KindMold, molds + mold
}

// Stats are the pool's; a mold is made as a disk is.
func (s *Supply) Stats() pool.Stats {
	p := s.pool.Stats()
	if s.caster != nil && s.caster.Making() {
		p.Making++
	}
	s.sizes.each(func(s *Supply) { p.Making += s.Stats().Making })
	return p
}
