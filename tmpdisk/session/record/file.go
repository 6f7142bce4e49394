// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package record

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/privdir"
	"nbdkit-tmpdisk-plugin/tmpdisk/session/keep"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
)

// FileName is that of key's record.
func FileName(key keep.Key) string { return string(key) + ".json" }

// Load returns the record of key in p. The error wraps ENOENT if there is none.
func Load(p *privdir.Dir, key keep.Key) (Record, error) {
	f, err := p.Open(FileName(key), unix.O_RDONLY)
	if err != nil {
		return Record{}, err
	}
	defer f.Close()
	return Read(f, key)
}

// Patience is how long Patiently waits; less in tests.
var Patience = 5 * time.Second

// Patiently opens for whoever has a client, which is to be served while this server is
// short of descriptors or memory for a moment.
func Patiently(open func() error) error {
	pause := sys.Backoff{First: 10 * time.Millisecond, Last: 500 * time.Millisecond}
	for until := time.Now().Add(Patience); ; time.Sleep(pause.Next()) {
		err := open()
		short := errors.Is(err, unix.EMFILE) || errors.Is(err, unix.ENFILE) || errors.Is(err, unix.ENOMEM)
		if !short || !time.Now().Before(until) {
			return err
		}
	}
}

// LoadPatiently is Load, by Patiently.
func LoadPatiently(p *privdir.Dir, key keep.Key) (r Record, err error) {
	err = Patiently(func() (err error) {
		r, err = Load(p, key)
		return err
	})
	return r, err
}

// Update changes the record of r's key in place, if check finds nothing wrong with what
// is there.
func Update(p *privdir.Dir, r *Record, check func(now Record) error) error {
	f, err := p.Open(FileName(r.Key), unix.O_RDWR)
	if err != nil {
		return err
	}
	defer f.Close()
	err = Change(f, r, check)
	if errors.Is(err, ErrOld) {
		return Replace(p, r, func() error { return nil })
	}
	return err
}

// Create writes r to a temporary file in p, locked and synced, which the caller
// publishes.
func Create(p *privdir.Dir, r *Record) (*os.File, error) {
	f, err := Temp(p, r.Key)
	if err != nil {
		return nil, err
	}
	sparse.WriteInPlace(int(f.Fd())) // on btrfs, else each change would take new space
	if err = Fill(f, r); err == nil {
		err = f.Sync()
	}
	if err != nil {
		p.Discard(f)
		f.Close()
		return nil, err
	}
	return f, nil
}

// Temp makes a temporary file of key, and locks it.
func Temp(p *privdir.Dir, key keep.Key) (*os.File, error) {
	f, unlocked, err := p.Temp(string(key))
	if err != nil {
		return nil, err
	}
	if unlocked != nil {
		p.Discard(f)
		f.Close()
		return nil, fmt.Errorf("lock: %s: %w", f.Name(), unlocked)
	}
	return f, nil
}

// Replace puts r into a new file in place of what there is, if check finds nothing wrong
// at the last moment.
func Replace(p *privdir.Dir, r *Record, check func() error) error {
	f, err := Create(p, r)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := check(); err != nil {
		p.Discard(f)
		return err
	}
	return p.Publish(f, FileName(r.Key), r.Sync)
}

// WithoutDisk is why key, whose disk is called disk and is not there, has none. It is
// ErrUnknown if there is no record either, unless the session is known. noted is false if
// nothing says that it is: a note must.
func WithoutDisk(p *privdir.Dir, key keep.Key, known bool, disk string) (why error, noted bool) {
	lost := &keep.LostError{Key: key, Reason: keep.Damaged, Detail: fmt.Sprintf("%s: there is no such file", p.Join(disk))}
	switch r, err := Load(p, key); {
	case err == nil && r.Lost != "":
		return &keep.LostError{Key: key, Reason: r.Lost}, true
	case err == nil:
		return lost, true
	case errors.Is(err, ErrDamaged):
		lost.Detail = err.Error()
		return lost, true
	case !errors.Is(err, unix.ENOENT):
		return err, true
	case !known:
		return keep.ErrUnknown, true
	default:
		lost.Detail = err.Error()
		return lost, false
	}
}
