// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
)

// release implements keeper.
func (d *dir) release(h *held) error {
	p, err := d.private()
	if err == nil && h.lease != nil {
		// What failed while this server was cut off may be sent once more when the
		// file is closed. Then the disk is not given back: whoever has it next waits,
		// and goes on with a copy.
		err = h.disk.Sync()
	}
	if err == nil {
		h.Connected = false
		err = d.rewrite(p, h)
	}
	return errors.Join(err, h.disk.Close())
}

// discard implements keeper.
func (d *dir) discard(h *held) error {
	p, err := d.private()
	if err == nil {
		if err = d.newest(h); err == nil {
			err = unpublish(p, h.key)
		}
	}
	return errors.Join(err, h.disk.Close())
}

// abandon implements keeper.
func (d *dir) abandon(h *held, why Reason) error {
	var err error
	if why != "" {
		// A filesystem that fails may have let another server in meanwhile.
		if err = d.newest(h); err == nil {
			var p *privdir.Dir
			if p, err = d.private(); err == nil {
				err = meant(d.lose(p, h.disk.FD(), h.record, h.key, why))
			}
		}
		if err != nil && !errors.Is(err, errOvertaken) {
			d.mark(d.failed, &h.record)
		}
	}
	return errors.Join(err, h.disk.Close())
}

// newest implements keeper.
func (d *dir) newest(h *held) error {
	p, err := d.private()
	if err != nil {
		return err
	}
	began := h.lease.now()
	if h.lease != nil {
		if err := d.relock(p, h); err != nil {
			return err
		}
	}
	if err := d.isNewest(p, h); err != nil {
		if h.lease != nil && errors.Is(err, errOvertaken) {
			unix.Flock(h.disk.FD(), unix.LOCK_UN) // which nobody had just then
		}
		return err
	}
	if h.lease != nil {
		if err := d.inPlace(p, h); err != nil {
			return err
		}
	}
	h.lease.extend(began)
	return nil
}

func (d *dir) isNewest(p *privdir.Dir, h *held) error {
	r, err := d.read(p, h.key)
	if err != nil {
		return err
	}
	if r.Generation != h.Generation || r.Server != h.Server || r.Lost != "" {
		return fmt.Errorf("%s: generation %d, not %d: %w", p.Join(string(h.key)+".json"), r.Generation, h.Generation, errOvertaken)
	}
	return nil
}

// drop implements keeper.
func (d *dir) drop(w waiter, why Reason) (uint64, error) {
	key := w.key
	p, err := d.private()
	if err != nil {
		return 0, err
	}
	f, err := d.lockDisk(context.Background(), p, key, 0)
	switch {
	case errors.Is(err, unix.ENOENT): // another server has dropped it
		return 0, nil
	case errors.Is(err, errElsewhere) && why == Expired: // that server may die
		r, _ := d.read(p, key)
		return 0, &tooEarly{grace: d.opts.Grace(r.Export)}
	case err != nil:
		return 0, err
	}
	defer f.Close()
	r, err := d.read(p, key)
	if err != nil && !errors.Is(err, errDamaged) {
		return 0, err
	}
	grace := w.grace
	if r.Used.After(w.since) { // it waits for another server's client
		grace = d.opts.Grace(r.Export)
	}
	if err == nil && why == Expired && d.opts.now().Sub(r.Used).Abs() < grace {
		// Another server's client was here meanwhile, or the clock was set
		// back: by more than the grace is nobody's client.
		return 0, &tooEarly{grace, d.waits(&r)}
	}
	if err == nil && why == Expired && r.Connected && !d.marked(d.orphans, &r) {
		if err := d.bury(p, key, f); err != nil {
			return 0, meant(err)
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return 0, fmt.Errorf("fstat: %s: %w", f.Name(), err)
	}
	return uint64(st.Blocks) * 512, meant(d.lose(p, int(f.Fd()), r, key, why))
}

// bury lets the locked disk f wait whose server died while a client was connected:
// its grace begins now. The error is then a tooEarly; it is nil if there is no
// room for the record.
func (d *dir) bury(p *privdir.Dir, key Key, f *os.File) error {
	h, err := d.take(p, key, f)
	if err == nil {
		err = d.release(h)
	}
	switch {
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		return nil
	case err != nil:
		return err
	}
	return &tooEarly{d.opts.Grace(h.Export), d.waits(&h.record)}
}

// meant takes a loss for no error.
func meant(err error) error {
	if errors.As(err, new(*LostError)) {
		return nil
	}
	return err
}

// waits describes the disk of r, which nobody has. The clients of a dead server
// have left when that is found out.
func (d *dir) waits(r *record) *Waiting {
	since := r.Used
	if r.Connected {
		since = d.opts.now()
	}
	return &Waiting{r.Key, r.Export, r.Size, since}
}

// space implements keeper.
func (d *dir) space(key Key) (allocated uint64, ok bool) {
	p, err := d.private()
	var st unix.Stat_t
	if err != nil || unix.Fstatat(p.FD(), string(key)+".disk", &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return 0, false
	}
	return uint64(st.Blocks) * 512, true
}

// forget implements keeper.
func (d *dir) forget(key Key, before time.Time) error {
	p, err := d.private()
	if err != nil {
		return err
	}
	return d.exclusively(p, func() error {
		if exists(p, string(key)+".disk") {
			return nil // the session is there again
		}
		r, err := d.read(p, key)
		if errors.Is(err, errNewer) {
			return err
		}
		if err == nil && r.Used.After(before) {
			return nil // another server has lost it once more
		}
		return p.Remove(string(key) + ".json")
	})
}

// stop implements keeper. Everything stays.
func (d *dir) stop() {}
