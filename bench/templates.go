// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// More kinds of server, all of tmpdisk.so.
const (
	running  = "command" // runs a command that makes up the data
	copying  = "copy"    // template-dir on TMPDIR's filesystem, which shares no blocks
	sharing  = "reflink" // template-dir and TMPDIR on one xfs
	mkfsing  = "mkfs"
	template = "template"
	stamping = "restamp" // a clone and a new UUID, for which no template is used
)

// clone is the time that a client waits for a disk with so many MiB of data:
// made up by a command, copied from a file in the way that the C plugin's
// manual suggests, or cloned.
func (t *trial) clone(mib int) error {
	base := filepath.Join(t.dir, fmt.Sprintf("base-%d", mib))
	if err := runShell(fmt.Sprintf(`head -c %dM /dev/urandom >"$1" && truncate -s 4G "$1"`, mib), base); err != nil {
		return err
	}
	defer os.Remove(base)
	made := fmt.Sprintf(`command=head -c %dM /dev/urandom >"$disk" && truncate -s "$size" "$disk"`, mib)
	copied := `command=cp --sparse=always "$base" "$disk"`

	var servers []*server
	start := func(name string, args ...string) error {
		s, err := t.start(t.ctx, name, "4G", args...)
		servers = append(servers, s)
		return err
	}
	templates := filepath.Join(t.dir, "templates")
	if err := os.MkdirAll(templates, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(templates)
	err := errors.Join(start(running, made), start(peerC, "base="+base, copied),
		start(copying, made, "template-dir="+templates))
	if err != nil {
		return err
	}
	unmount, err := t.onXFS(func(dir string) error { return start(sharing, made, "template-dir="+dir) })
	defer unmount()
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %s: without reflink: %v\n", t.name, err)
	}
	took := t.report.series(t.name, "ms", goal{copying, peerC, 1}, goal{sharing, peerC, 0.2})
	return t.interleave(t.rounds(9, 2), servers, t.untilFirstRead(took))
}

// onXFS calls start with TMPDIR, and a directory for templates, on a new xfs.
// The function that it returns ends all servers and removes it again.
func (t *trial) onXFS(start func(dir string) error) (undo func(), err error) {
	image, mount := filepath.Join(t.dir, "xfs.img"), filepath.Join(t.dir, "xfs")
	undo = func() {
		t.stop()
		unix.Unmount(mount, unix.MNT_DETACH)
		os.Remove(image)
		os.Remove(mount)
	}
	if os.Geteuid() != 0 {
		return undo, errors.New("needs root for a loop mount")
	}
	err = runShell(`truncate -s 8G "$1" && mkfs.xfs -q "$1" && mkdir "$2" && mount -o loop "$1" "$2" &&
		mkdir -m 700 "$2/disks" "$2/templates"`, image, mount)
	if err != nil {
		return undo, err
	}
	before := t.disks
	t.disks = filepath.Join(mount, "disks")
	defer func() { t.disks = before }()
	return undo, start(filepath.Join(mount, "templates"))
}

// stamp is the time that a client waits for a filesystem that is made by mkfs,
// or cloned and given a new UUID. Where the plugin does not do the latter, a
// command shows what it would take: program.
func (t *trial) stamp(size, fsType, program string) error {
	dir := filepath.Join(t.dir, "templates-"+fsType)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	name, args := template, []string{"type=" + fsType, "template-dir=" + dir}
	if program != "" {
		base := filepath.Join(dir, "base")
		if err := runShell(`truncate -s "$2" "$1" && mkfs."$3" -q "$1"`, base, size, fsType); err != nil {
			return err
		}
		name, args = stamping, []string{"base=" + base, `command=cp --sparse=always "$base" "$disk" && ` + program}
	}
	var servers []*server
	for _, s := range []struct {
		name string
		args []string
	}{{mkfsing, []string{"type=" + fsType}}, {name, args}, {peerC, []string{"type=" + fsType}}} {
		started, err := t.start(t.ctx, s.name, size, s.args...)
		if err != nil {
			return err
		}
		servers = append(servers, started)
	}
	goals := []goal{}
	if name == template {
		goals = append(goals, goal{template, mkfsing, 1})
	}
	return t.interleave(t.rounds(25, 5), servers, t.untilFirstRead(t.report.series(t.name, "ms", goals...)))
}

// untilFirstRead is connect's measure.
func (t *trial) untilFirstRead(took *series) func(s *server, count bool) error {
	return func(s *server, count bool) error {
		began := time.Now()
		c, err := connect(s.socket)
		if err != nil {
			return err
		}
		if err := c.do(cmdRead, 0, maxSize); err != nil {
			return err
		}
		if count {
			took.add(s.name, millis(time.Since(began)))
		}
		c.close()
		return s.settle(t.ctx)
	}
}

func runShell(script string, args ...string) error {
	out, err := exec.Command("sh", append([]string{"-c", script, "sh"}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, lastLines(out, 3))
	}
	return nil
}
