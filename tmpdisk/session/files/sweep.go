// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package files

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/files/names"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
)

// Look lists what waits, and what is lost, oldest first, but for what the caller knows:
// of each key, a disk or a note. It removes what servers left that were killed. What it
// does not understand, or must not touch, it says, once. One look at a time.
//
// Whose client was connected when its server died has waited for the shortest time,
// because it worked until then. Notes are not read before somebody asks for them: there
// may be very many.
func (d *Dir) Look(knows func(key keep.Key, disk bool) bool) (found []keep.Found, lost []keep.Note, err error) {
	p, err := d.private(d.opts.AtStart)
	if errors.Is(err, privdir.ErrNone) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	defer p.Close()
	hasDisk, temps, bases, err := names.List(p)
	if err != nil {
		return nil, nil, Directories.Named(err)
	}
	said := map[string]string{}
	defer func() { d.said = said }()
	alone := func(name string, err error) {
		if said[name] = err.Error(); d.said[name] != said[name] {
			d.opts.LogError(fmt.Sprintf("session %.12s: left alone: %v", name, err))
		}
	}
	for key, disk := range hasDisk {
		if knows(key, disk) {
			continue
		}
		if !disk {
			if since, ok := names.Noted(p, key, d.opts.Clock); ok {
				lost = append(lost, keep.Note{Key: key, Since: since})
			}
			continue
		}
		f, err := d.look(key)
		switch {
		case err == nil:
			found = append(found, f)
		case errors.As(err, new(*keep.LostError)):
			lost = append(lost, keep.Note{Key: key, Since: d.opts.Clock.Now()})
		case !errors.Is(err, keep.ErrUnknown):
			alone(string(key), err)
		}
	}
	// After the disks: one whose temporary name is there was nobody's.
	for _, name := range temps {
		if key, _, _ := privdir.SplitName(name); said[key] != "" {
			continue // that is not known yet
		}
		if err := p.SweepTemp(name); err != nil {
			alone(name, err)
		}
	}
	d.naming.SweepBases(p, d.shared.Load(), bases, d.opts.Debug)
	slices.SortFunc(found, func(a, b keep.Found) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Key, b.Key)) })
	slices.SortFunc(lost, func(a, b keep.Note) int { return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.Key, b.Key)) })
	return found, lost, nil
}

// look finds out what has become of the disk of key. The error is that of a verdict.
func (d *Dir) look(key keep.Key) (keep.Found, error) {
	c, err := d.claim(context.Background(), key, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return keep.Found{}, keep.ErrUnknown
	case errors.Is(err, keep.ErrElsewhere):
		p, err := d.private(false)
		if err != nil {
			return keep.Found{}, err
		}
		defer p.Close()
		r, err := record.Load(p, key)
		w := keep.Waiting{Key: key, Export: r.Export, Since: d.opts.Clock.Now()}
		isNew := errors.Is(err, unix.ENOENT) || r.Generation == 1 && r.Connected
		return keep.Found{Waiting: w, Grace: d.graceOf(&r), New: isNew}, nil
	case err != nil:
		return keep.Found{}, err
	}
	defer c.Close()
	r := &c.record
	grace := d.graceOf(r)
	var lost *keep.LostError
	switch err = c.verdict(); {
	case errors.As(err, &lost) && lost.Kept:
		// It is there until its grace is over, which does not begin anew.
		age, _, err := names.Damaged(c.at, key, c.fd(), &d.server)
		if err != nil {
			d.opts.Debug(fmt.Sprintf("session %s: %v (ignored)", key.Short(), err))
		} else if age > grace {
			return keep.Found{}, c.lose(keep.Expired)
		}
		d.opts.LogError(fmt.Sprintf("session %s: left alone for %v: %s", key.Short(), grace, lost.Detail))
		return keep.Found{Waiting: keep.Waiting{Key: key, Export: r.Export, Since: d.opts.Clock.Now(), Version: r.Version()}, Grace: grace, Here: true}, nil
	case err != nil:
		return keep.Found{}, err
	}
	names.Mended(c.at, key)
	age, known := d.server.Age(r)
	if known && !c.isOrphan() && age > grace {
		return keep.Found{}, c.lose(keep.Expired)
	}
	w := d.server.Waiting(r)
	if !known || c.isOrphan() {
		c.begin()
		w.Version = r.Version()
	}
	return keep.Found{Waiting: *w, Grace: grace, Here: true}, nil
}

// graceOf is how long the disk of r waits, which is empty if there is no good record.
func (d *Dir) graceOf(r *record.Record) time.Duration {
	if r.Key == "" {
		return d.opts.Grace(Unknown)
	}
	return d.server.Waits(r, d.opts.Grace(r.Export))
}
