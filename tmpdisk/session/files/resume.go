// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package files

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/files/names"
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
	for _, step := range []func() error{
		c.verdict, c.findBase, c.take, func() error { return c.settle(ctx) }, c.stand,
	} {
		if err := step(); err != nil {
			c.Close()
			return nil, err
		}
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
	defer p.Close()
	if r, err := record.Load(p, key); err == nil && r.Lost != "" {
		return &keep.LostError{Key: key, Reason: r.Lost}
	} else if errors.Is(err, unix.ENOENT) && !known {
		return keep.ErrUnknown
	}
	return d.naming.With(ctx, p, d.shared.Load(), func() error { return d.lostWithoutDisk(p, key, known) })
}

// lostWithoutDisk is withoutDisk with the lock of the directory: another server may just
// have made a disk. A record stays as it is, because the disk may come back. If there is
// none, a note says that the session is known.
func (d *Dir) lostWithoutDisk(p *privdir.Dir, key keep.Key, known bool) error {
	if there, err := names.Exists(p, names.Disk(key)); err != nil {
		return err
	} else if there {
		return fmt.Errorf("session %s: %w", key.Short(), keep.ErrElsewhere)
	}
	lost, noted := record.WithoutDisk(p, key, known, names.Disk(key))
	if noted {
		return lost
	}
	note := record.Record{Key: key, Lost: keep.Damaged}
	d.server.Stamp(&note)
	if err := record.Replace(p, &note, func() error { return nil }); err != nil {
		d.opts.LogError(fmt.Sprintf("session %s: %v", key.Short(), err))
	}
	return lost
}
