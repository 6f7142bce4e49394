// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/command"
	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
	"nbdkit-tmpdisk-plugin/tmpdisk/users"
	"nbdkit-tmpdisk-plugin/tmpdisk/workdir"
)

// Options say which disks a Maker makes, and with what.
type Options struct {
	Config *config.Config // must be complete
	Dir    string         // absolute; where the private directories are made
	Runner *command.Runner
	Counts *Counts
	Tried  *Tried       // disks that there are already; may be nil
	Debug  func(string) // a line for nbdkit -v
	Error  func(string) // a line for the log
}

// A Maker makes disks in private directories. Its methods may be called from
// any number of goroutines.
type Maker struct {
	opts Options

	// space is what the last disk took when it was new, in bytes.
	space atomic.Uint64
}

// New returns a Maker. It touches nothing yet: Fresh and Filled find out whether
// the directory is there.
func New(o Options) *Maker { return &Maker{opts: o} }

// Space is what the last disk took when it was new, in bytes; 0 before that.
func (m *Maker) Space() uint64 { return m.space.Load() }

// Fresh returns a new disk that the command, or mkfs, has made out of an empty
// file. The caller must close it. By then neither disk nor directory has a name
// any more. On an error, and when ctx ends first, nothing is left behind.
func (m *Maker) Fresh(ctx context.Context) (*disk.Disk, error) {
	var user *users.User
	if all := m.opts.Config.CommandUsers; all != nil {
		var err error
		if user, err = all.Acquire(ctx); err != nil {
			return nil, err
		}
		// When nothing is left that the user's next command could read.
		defer user.Release()
	}
	return m.inWorkdir(func(w *workdir.Dir) error { return m.run(ctx, w, user) })
}

// Filled is Fresh for a disk that fill puts at a path.
func (m *Maker) Filled(ctx context.Context, fill func(ctx context.Context, path string) error) (*disk.Disk, error) {
	return m.inWorkdir(func(w *workdir.Dir) error { return fill(ctx, w.Disk()) })
}

// inWorkdir opens the disk that fill has made in a new directory, and removes
// both. Where an open file keeps a name, the directory goes with the disk. A disk
// that is linked to a file elsewhere knows it, see disk.Linked.
func (m *Maker) inWorkdir(fill func(*workdir.Dir) error) (*disk.Disk, error) {
	w, err := workdir.New(m.opts.Dir)
	if err != nil {
		return nil, err
	}
	var d *disk.Disk
	if err = fill(w); err == nil {
		d, err = disk.Open(w.Disk(), m.opts.Debug)
	}
	to := linkedTo(w, m.opts.Dir)
	rmErr := w.Remove()
	if d != nil && to != "" && d.Named() {
		d.Linked = to
	}
	switch held := errors.Is(rmErr, workdir.ErrHeld); {
	case held && d != nil:
		d.OnClose = w.RemoveClosed
		rmErr = nil
	case held:
		rmErr = w.RemoveClosed() // of a command that was killed
	}
	if err = errors.Join(err, rmErr); err != nil {
		if d != nil {
			err = errors.Join(err, d.Close())
		}
		return nil, err
	}
	m.space.Store(d.Space())
	return d, nil
}

// run makes the disk in w by the script, as user if that is not nil.
func (m *Maker) run(ctx context.Context, w *workdir.Dir, user *users.User) (err error) {
	// The command gets a directory that it may do with as it likes.
	switch {
	case user != nil:
		err = w.GiveTo(user.UID, user.GID)
	case !m.opts.Config.Builtin():
		err = w.Enter()
	}
	if err != nil {
		return err
	}
	// An empty file that a command= starts from must be as others are: it may
	// want to make it a reflink of another one.
	err = sparse.Create(w.Disk(), m.opts.Config.Size, m.opts.Config.Builtin())
	if errors.Is(err, unix.EFBIG) {
		return m.tooLarge()
	}
	if err != nil {
		return err
	}
	c := newScript(m.opts.Config, w.Disk())
	c.Said = func(text string) { m.opts.Debug("command wrote: " + text) }
	c.Left = func(what error) {
		if ctx.Err() != nil { // there may be nobody whom the error is for
			m.opts.Error(fmt.Sprintf("command: %v", what))
		}
	}
	if user != nil {
		// Nothing of the user runs yet, so the path still stands for what the
		// server has just made.
		if err := os.Lchown(w.Disk(), user.UID, user.GID); err != nil {
			return err
		}
		c.As, c.Dir = user, w.Path()
	}
	err = m.opts.Counts.count(ctx, func() error { return m.opts.Runner.Run(ctx, c) })
	if err != nil || user == nil {
		return err
	}
	return takeDiskBack(w, user)
}

// Counts are those of commands, mkfs among them.
type Counts struct {
	Running        atomic.Int64
	Killed, Failed atomic.Uint64
}

// count counts one that run runs.
func (c *Counts) count(ctx context.Context, run func() error) error {
	c.Running.Add(1)
	err := run()
	c.Running.Add(-1)
	switch {
	case err == nil:
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded):
		c.Killed.Add(1)
	default:
		c.Failed.Add(1)
	}
	return err
}
