// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/command"
	"nbdkit-tmpdisk-plugin/tmpdisk/config"
	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
	"nbdkit-tmpdisk-plugin/tmpdisk/users"
	"nbdkit-tmpdisk-plugin/tmpdisk/workdir"
)

// A maker makes disks in private directories. Its methods may be called from
// any number of goroutines.
type maker struct {
	cfg    *config.Config
	host   Host
	runner *command.Runner
	parent string // absolute; where the private directories are made

	counts *commandCounts // nil counts nothing

	// space is what the last disk took when it was new, in bytes.
	space atomic.Uint64

	// olderMkfs is above 0 once mkfs has turned out not to know its options.
	olderMkfs atomic.Int32
}

// newMaker returns a maker for cfg, which must be complete. Where the disks
// go is taken from TMPDIR now. Fresh and Filled find out whether it is there.
func newMaker(cfg *config.Config, host Host, runner *command.Runner) *maker {
	return &maker{cfg: cfg, host: host, parent: tmpdir(host), runner: runner}
}

// tmpdir is where disks are made.
func tmpdir(host Host) string { return config.TMPDIR(host) }

// Fresh returns a new disk that the command, or mkfs, has made out of an empty
// file. The caller must close it. By then neither disk nor directory has a name
// any more. On an error, and when ctx ends first, nothing is left behind.
func (m *maker) Fresh(ctx context.Context) (*disk.Disk, error) {
	if m.cfg.CommandUsers == nil {
		return m.inWorkdir(ctx, func(w *workdir.Dir) error { return m.run(ctx, w, nil) })
	}
	user, err := m.cfg.CommandUsers.Acquire(ctx)
	if err != nil {
		return nil, err
	}
	// When nothing is left that the user's next command could read.
	defer user.Release()
	return m.inWorkdir(ctx, func(w *workdir.Dir) error { return m.run(ctx, w, user) })
}

// Filled is Fresh for a disk that fill puts at a path.
func (m *maker) Filled(ctx context.Context, fill func(ctx context.Context, path string) error) (*disk.Disk, error) {
	return m.inWorkdir(ctx, func(w *workdir.Dir) error { return fill(ctx, w.Disk()) })
}

// inWorkdir opens the disk that fill has made in a new directory, and removes
// both. Where an open file keeps a name, the directory goes with the disk. A disk
// that is linked to a file elsewhere knows it, see disk.Linked.
func (m *maker) inWorkdir(ctx context.Context, fill func(*workdir.Dir) error) (*disk.Disk, error) {
	w, err := workdir.New(m.parent)
	if err != nil {
		return nil, err
	}
	var d *disk.Disk
	if err = fill(w); err == nil {
		d, err = disk.Open(w.Disk(), m.host.Debug)
	}
	to := linkedTo(w, m.parent)
	rmErr := w.Remove()
	if d != nil && to != "" && d.Named() {
		d.SetLinked(to)
	}
	if errors.Is(rmErr, workdir.ErrHeld) {
		if d != nil {
			d.OnClose(w.RemoveClosed)
			rmErr = nil
		} else {
			rmErr = w.RemoveClosed() // of a command that was killed
		}
	}
	if rmErr != nil {
		err = errors.Join(err, rmErr)
		if d != nil {
			err = errors.Join(err, d.Close())
		}
	}
	if err != nil {
		return nil, err
	}
	m.space.Store(d.Space())
	return d, nil
}

// run makes the disk in w by the script, as user if that is not nil.
func (m *maker) run(ctx context.Context, w *workdir.Dir, user *users.User) error {
	if err := m.prepare(w, user); err != nil {
		return err
	}
	// An empty file that a command= starts from must be as others are: it may
	// want to make it a reflink of another one.
	err := sparse.Create(w.Disk(), m.cfg.Size, m.cfg.Builtin())
	if errors.Is(err, unix.EFBIG) {
		return fmt.Errorf("parameter size: %d bytes: more than a file under %s can have: %w", m.cfg.Size, m.parent, unix.EFBIG)
	}
	if err != nil {
		return err
	}
	if user == nil {
		return m.runScript(ctx, w, nil)
	}
	if err := giveDisk(w, user); err != nil {
		return err
	}
	if err := m.runScript(ctx, w, user); err != nil {
		return err
	}
	return takeDiskBack(w, user)
}

// prepare gives the command a directory that it may do with as it likes.
func (m *maker) prepare(w *workdir.Dir, user *users.User) error {
	switch {
	case user != nil:
		return w.GiveTo(user.UID, user.GID)
	case m.cfg.Builtin():
		return nil
	}
	return w.Enter()
}

// runScript runs the script, and again with the options of an older mkfs if it
// does not know its options.
func (m *maker) runScript(ctx context.Context, w *workdir.Dir, user *users.User) error {
	for older := int(m.olderMkfs.Load()); ; {
		err := m.counts.count(ctx, func() error { return m.runner.Run(ctx, m.newCommand(w, user, older)) })
		if err == nil {
			m.olderMkfs.Store(int32(older))
			return nil
		}
		if !m.cfg.Builtin() || !mkfs.UnknownOption(m.cfg.Type, older, err) {
			return err
		}
		older++
		m.host.Debug(fmt.Sprintf("mkfs does not know its options, it is an older version: %v (ignored)", err))
	}
}

func (m *maker) newCommand(w *workdir.Dir, user *users.User, older int) command.Command {
	s := newScript(m.cfg, w.Disk(), older)
	c := command.Command{
		Setup:      s.setup,
		Unexported: s.names,
		Script:     s.text,
		Timeout:    m.cfg.CommandTimeout,
		As:         user,
		Ours:       m.cfg.Builtin(),
		Said:       func(text string) { m.host.Debug("command wrote: " + text) },
	}
	if user != nil {
		c.Dir = w.Path()
	}
	return c
}

// commandCounts are those of a server's commands, mkfs among them.
type commandCounts struct {
	running        atomic.Int64
	killed, failed atomic.Uint64
}

// count counts one that run runs.
func (c *commandCounts) count(ctx context.Context, run func() error) error {
	if c == nil {
		return run()
	}
	c.running.Add(1)
	err := run()
	c.running.Add(-1)
	switch {
	case err == nil:
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded):
		c.killed.Add(1)
	default:
		c.failed.Add(1)
	}
	return err
}
