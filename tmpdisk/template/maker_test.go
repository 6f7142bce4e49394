// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package template

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/overlay"
	"nbdkit-tmpdisk-plugin/tmpdisk/sparse"
)

// shellMaker makes disks of size bytes by a shell script, as the server does but
// with nothing around it. It knows one other file that the disk depends on.
type shellMaker struct {
	t       testing.TB
	size    int64
	command string
	base    string // $base
}

func (m *shellMaker) Key() string {
	base, _ := os.ReadFile(m.base)
	return fmt.Sprintf("%x", sha256.Sum256([]byte(m.command+"\x00"+string(base))))
}

func (m *shellMaker) Fresh(ctx context.Context) (*disk.Disk, error) {
	return m.Filled(ctx, func(ctx context.Context, path string) error {
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			return err
		}
		if err := os.Truncate(path, m.size); err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, "/bin/sh", "-c", m.command)
		cmd.Env = append(os.Environ(), "disk="+path, "base="+m.base)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("exit code %d: %s", cmd.ProcessState.ExitCode(), out)
		}
		return nil
	})
}

func (m *shellMaker) Filled(ctx context.Context, fill func(context.Context, string) error) (*disk.Disk, error) {
	dir, err := os.MkdirTemp("", "maker")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "disk")
	if err := fill(ctx, path); err != nil {
		return nil, err
	}
	return disk.Open(path, testkit.Debug(m.t))
}

func (m *shellMaker) Shares(_ context.Context, src int) (*disk.Disk, error) {
	fd, err := sparse.Unnamed(os.TempDir(), false)
	if err != nil {
		return nil, err
	}
	if sparse.Reflink(fd, src) != nil {
		return nil, unix.Close(fd)
	}
	return disk.FromFD(fd, testkit.Debug(m.t))
}

func (m *shellMaker) Over(ctx context.Context, base *overlay.Base) (*overlay.Disk, error) {
	own, err := m.Filled(ctx, func(_ context.Context, path string) error { return sparse.Create(path, base.Size(), false) })
	if err != nil {
		return nil, err
	}
	return overlay.New(own, base)
}

// templates keeps what command makes in a directory of the test's own.
func templates(t testing.TB, size int64, command string) *Templates {
	t.Helper()
	return templatesIn(t, t.TempDir(), size, command)
}

func templatesIn(t testing.TB, dir string, size int64, command string) *Templates {
	t.Helper()
	return newTemplates(t, dir, &shellMaker{t: t, size: size, command: command})
}

// newTemplates are stopped when the test ends.
func newTemplates(t testing.TB, dir string, m Maker) *Templates {
	all := New(Options{
		Unattended: &Unattended{},
		Dir:        dir, Debug: testkit.Debug(t),
		Error: func(line string) { t.Log("error: " + line) },
	}, m)
	t.Cleanup(func() { all.Stop(errEnd) })
	return all
}

var errEnd = errors.New("the test ends")

func privateDir(m *Templates) string {
	return testkit.PrivateDir(m.opts.Dir, Directories.Name)
}

func closeDisk(t testing.TB, d disk.Interface) {
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
