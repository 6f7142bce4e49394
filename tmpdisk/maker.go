// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package tmpdisk

import (
	"nbdkit-tmpdisk-plugin/tmpdisk/command"
	"nbdkit-tmpdisk-plugin/tmpdisk/sys"
	"nbdkit-tmpdisk-plugin/tmpdisk/users"

	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A maker makes disks; make may be called from any number of goroutines.
type maker struct {
	cfg    *Config
	host   Host
	parent string // absolute; where the private directories are made
	runner *command.Runner

	templates *templates // nil if every disk is made by itself

	// space is what the last disk took when it was new, in bytes.
	space atomic.Uint64

	// olderMkfs is set once mkfs has turned out not to know its options.
	olderMkfs atomic.Bool
}

// newMaker returns a maker for cfg, which must be complete. Where the disks
// go is taken from TMPDIR now; whether it is there is found out by make.
func newMaker(cfg *Config, host Host) *maker {
	parent := os.Getenv("TMPDIR")
	if parent == "" {
		parent = "/var/tmp"
	}
	if !filepath.IsAbs(parent) {
		parent = host.AbsolutePath(parent)
	}
	m := &maker{cfg: cfg, host: host, parent: parent, runner: command.NewRunner(host.Debug)}
	m.templates = newTemplates(m)
	return m
}

// A recipe is how a disk comes to be at a path in a private directory.
type recipe struct {
	// fill makes the file, of which the script may make anything.
	fill func(ctx context.Context, path string) error
	// script is what /bin/sh runs then; nil runs nothing.
	script func(path string) script
	// older, if not nil, is tried where script fails.
	older func(path string) script
	// mkfs says that the script runs one of the built-in types' programs,
	// and nothing else: see command.Command.Ours.
	mkfs bool
}

// make returns a new disk, which the caller must close. By then neither disk
// nor directory has a name any more. On an error, and when ctx ends first,
// nothing is left behind.
func (m *maker) make(ctx context.Context) (*Disk, error) {
	if m.templates != nil {
		return m.templates.make(ctx)
	}
	return m.makeBy(ctx, m.fresh())
}

// fresh is the recipe of a disk that the command makes out of an empty file.
func (m *maker) fresh() recipe {
	r := recipe{script: m.cfg.script, mkfs: m.cfg.builtin()}
	r.fill = func(_ context.Context, path string) error {
		return createSparse(path, m.cfg.size, r.mkfs)
	}
	switch {
	case !r.mkfs || filesystemOf(m.cfg.mkfsType()).older == "":
	case m.olderMkfs.Load():
		r.script = m.cfg.olderScript
	default:
		r.older = m.cfg.olderScript
	}
	return r
}

func (m *maker) makeBy(ctx context.Context, r recipe) (*Disk, error) {
	var as *users.User
	if pool := m.cfg.run.users(); pool != nil && r.script != nil {
		var err error
		if as, err = pool.Acquire(ctx); err != nil {
			return nil, err
		}
		defer as.Release() // when nothing is left that its next user could read
	}
	w, err := newWorkdir(m.parent)
	if err != nil {
		return nil, err
	}
	d, err := m.makeIn(ctx, w, as, r)
	if rmErr := w.remove(); rmErr != nil {
		err = errors.Join(err, rmErr)
		if d != nil {
			err = errors.Join(err, d.Close())
		}
	}
	if err != nil {
		return nil, err
	}
	m.space.Store(d.space())
	return d, nil
}

// makeIn works in w and runs the script as a user, if as is not nil.
func (m *maker) makeIn(ctx context.Context, w *workdir, as *users.User, r recipe) (*Disk, error) {
	switch {
	case as != nil:
		if err := w.giveTo(as.UID, as.GID); err != nil {
			return nil, err
		}
	case r.script != nil && !r.mkfs:
		if err := w.enter(); err != nil {
			return nil, err
		}
	}
	path := filepath.Join(w.path(), "disk")
	if err := r.fill(ctx, path); err != nil {
		return nil, err
	}
	if r.script != nil {
		if as != nil {
			if err := giveDisk(as, path); err != nil {
				return nil, err
			}
		}
		if err := m.runScript(ctx, r, path, w, as); err != nil {
			return nil, err
		}
		if as != nil {
			if err := takeBackDisk(as, w, path); err != nil {
				return nil, err
			}
		}
	}
	return openDisk(path, m.host)
}

// runScript runs r's script, and the one for an older mkfs if that fails. An
// error is the first one's: where both fail the options are not to blame.
func (m *maker) runScript(ctx context.Context, r recipe, path string, w *workdir, as *users.User) error {
	err := m.runner.Run(ctx, m.newCommand(r, r.script(path), w, as))
	if err == nil || r.older == nil || ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	if m.runner.Run(ctx, m.newCommand(r, r.older(path), w, as)) != nil {
		return err
	}
	if !m.olderMkfs.Swap(true) {
		m.host.Debug(fmt.Sprintf("mkfs does not know its options, it is an older version: %v (ignored)", err))
	}
	return nil
}

func (m *maker) newCommand(r recipe, s script, w *workdir, as *users.User) command.Command {
	c := command.Command{
		Setup:      s.setup,
		Unexported: s.names,
		Script:     s.text,
		Timeout:    m.cfg.run.timeout,
		As:         as,
		Ours:       r.mkfs,
		Said:       func(text string) { m.host.Debug("command wrote: " + text) },
	}
	if as != nil {
		c.Dir = w.path()
	}
	return c
}

// createSparse makes the file that the command starts from.
func createSparse(path string, size int64, inPlace bool) error {
	fd, err := sys.Retry2(func() (int, error) {
		return unix.Open(path, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
	})
	if err != nil {
		return fmt.Errorf("create: %s: %w", path, err)
	}
	if inPlace {
		writeInPlace(fd)
	}
	err = sys.Retry(func() error { return unix.Ftruncate(fd, size) })
	if closeErr := unix.Close(fd); err == nil {
		err = closeErr
	}
	if errors.Is(err, unix.EFBIG) {
		return fmt.Errorf("parameter size: %d bytes: more than a file under %s can have: %w",
			size, filepath.Dir(filepath.Dir(path)), err)
	}
	if err != nil {
		return fmt.Errorf("truncate: %s: %w", path, err)
	}
	return nil
}
