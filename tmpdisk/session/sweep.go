// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// splitName is the key that the name of a session's file begins with, and what
// follows it. ok is false for other files, which are left alone.
func splitName(name string) (key Key, kind string, ok bool) {
	digits, kind, _ := strings.Cut(name, ".")
	random, temp := strings.CutPrefix(kind, "tmp.")
	ok = kind == "disk" || kind == "json" || temp && sys.IsRandomName(random)
	return Key(digits), kind, ok && sys.IsHex(digits, 64)
}

// begin implements keeper. It removes what cannot be resumed, and what servers
// left that were killed. What it does not understand, or must not touch, it says.
func (d *dir) begin() (found []finding, lost []entry, err error) {
	p, err := d.private()
	if err != nil {
		return nil, nil, err
	}
	names, err := p.Names()
	if err != nil {
		return nil, nil, fmt.Errorf("parameter session-dir: %s: %w", p.Path(), err)
	}
	hasDisk := map[Key]bool{}
	for _, name := range names {
		key, kind, ok := splitName(name)
		switch {
		case !ok && sys.StandsForRemoved(name):
			d.removeTemp(p, name) // a removed file's, which is locked if somebody has it
		case !ok:
		case kind == "disk" || kind == "json":
			hasDisk[key] = hasDisk[key] || kind == "disk"
		default:
			d.removeTemp(p, name)
		}
	}
	for key, disk := range hasDisk {
		r, isLost, err := d.look(p, key, disk)
		switch {
		case errors.Is(err, errUnknown):
		case errors.Is(err, errElsewhere):
			found = append(found, finding{d.waiter(key, r), nil})
		case err != nil:
			d.opts.LogError(fmt.Sprintf("session %s: left alone: %v", key.Short(), err))
		case isLost:
			lost = append(lost, entry{key, r.Used})
		default:
			found = append(found, finding{d.waiter(key, r), d.waits(&r)})
		}
	}
	older := func(a, b entry) int { return cmp.Or(a.since.Compare(b.since), cmp.Compare(a.key, b.key)) }
	slices.SortFunc(found, func(a, b finding) int { return older(a.entry, b.entry) })
	slices.SortFunc(lost, older)
	return found, lost, nil
}

func (d *dir) waiter(key Key, r record) waiter {
	return waiter{entry: entry{key, r.Used}, grace: d.opts.Grace(r.Export)}
}

// look finds out what has become of the session of key. Of one that another server
// has it returns the export only.
func (d *dir) look(p *privdir.Dir, key Key, hasDisk bool) (r record, isLost bool, err error) {
	if hasDisk {
		r, err = d.lookAtDisk(p, key)
	} else {
		err = d.withoutDisk(p, key)
	}
	var gone *LostError
	if !errors.As(err, &gone) {
		return r, false, err
	}
	r, err = d.read(p, key)
	return r, err == nil, err
}

func (d *dir) lookAtDisk(p *privdir.Dir, key Key) (record, error) {
	f, err := d.lockDisk(context.Background(), p, key, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return record{}, errUnknown
	case errors.Is(err, errElsewhere):
		r, _ := d.read(p, key)
		return record{Export: r.Export}, err
	case err != nil:
		return record{}, err
	}
	defer f.Close()
	r, err := d.check(p, key, f)
	if err == nil && r.Connected {
		d.mark(d.orphans, &r)
	}
	if err == nil && !r.Connected && d.opts.now().Sub(r.Used) > d.opts.Grace(r.Export) {
		err = d.lose(p, int(f.Fd()), r, key, Expired)
	}
	return r, err
}

// removeTemp removes a temporary file whose maker is dead, or what stands for a
// removed one.
func (d *dir) removeTemp(p *privdir.Dir, name string) {
	f, err := p.Lock(name, unix.O_RDWR)
	if err == nil {
		defer f.Close()
		err = p.Remove(name)
	}
	switch {
	case err == nil, errors.Is(err, unix.ENOENT):
	case errors.Is(err, unix.EWOULDBLOCK), errors.Is(err, privdir.ErrReplaced): // in use, or made once more
	case errors.Is(err, unix.EBUSY): // in use on this machine, NFS knows
	default:
		d.opts.LogError(fmt.Sprintf("left alone: %v", err))
	}
}
