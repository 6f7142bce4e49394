// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package files

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/record"
)

// Resume takes the disk of key that waits. The error wraps ErrUnknown if there never was
// one, is a *LostError if it is gone, and wraps ErrElsewhere if another server has it.
// known says that there was a session: if nothing is there, it is lost, because nobody
// has said that it may be forgotten.
func (d *Dir) Resume(ctx context.Context, key keep.Key, known bool) (*Claim, error) {
	c, err := d.claim(ctx, key, patience)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, privdir.ErrNone) {
		return nil, d.withoutDisk(ctx, key, known)
	}
	if err != nil {
		return nil, err
	}
	if err = c.verdict(); err == nil {
		err = c.take()
	}
	if err == nil {
		err = c.settle(ctx)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// withoutDisk is why key has none.
func (d *Dir) withoutDisk(ctx context.Context, key keep.Key, known bool) error {
	p, err := d.private(known)
	if errors.Is(err, privdir.ErrNone) {
		return keep.ErrUnknown
	}
	if err != nil {
		return err
	}
	if r, err := record.Load(p, key); err == nil && r.Lost != "" {
		return &keep.LostError{Key: key, Reason: r.Lost}
	} else if errors.Is(err, unix.ENOENT) && !known {
		return keep.ErrUnknown
	}
	return d.exclusively(ctx, p, func() error { return d.loseWithoutDisk(p, key, known) })
}

// loseWithoutDisk leaves a note for a session that has no disk. Another server may just
// have made one. With the lock of the directory.
func (d *Dir) loseWithoutDisk(p *privdir.Dir, key keep.Key, known bool) error {
	if exists(p, diskName(key)) {
		return fmt.Errorf("session %s: %w", key.Short(), keep.ErrElsewhere)
	}
	detail := fmt.Sprintf("%s: there is no such file", p.Join(diskName(key)))
	note, err := record.Load(p, key)
	unreadable := errors.Is(err, unix.ENOENT) && known || errors.Is(err, record.ErrDamaged)
	switch {
	case err == nil && note.Lost != "":
		return &keep.LostError{Key: key, Reason: note.Lost}
	case errors.Is(err, unix.ENOENT) && !known:
		return keep.ErrUnknown
	case unreadable:
		detail = err.Error()
	case err != nil:
		return err
	}
	note.Key, note.Lost = key, keep.Damaged
	d.server.Stamp(&note)
	if unreadable {
		err = record.Replace(p, &note, func() error { return nil })
	} else {
		err = record.Update(p, &note, func(record.Record) error { return nil })
	}
	if err != nil {
		d.opts.LogError(fmt.Sprintf("session %s: %v", key.Short(), err))
	}
	d.forgetMarks(key)
	return &keep.LostError{Key: key, Reason: keep.Damaged, Detail: detail}
}
