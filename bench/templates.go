// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// More kinds of server, all of tmpdisk.so.
const (
	running = "command" // runs a command that makes up the data
	copying = "shared"  // template-dir on TMPDIR's filesystem, which shares no blocks
	sharing = "reflink" // template-dir and TMPDIR on one xfs
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
	copied := `command=cp --sparse=always "$image" "$disk"`

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
	err := errors.Join(start(running, made), start(peerC, "image="+base, copied),
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

func runShell(script string, args ...string) error {
	out, err := exec.Command("sh", append([]string{"-c", script, "sh"}, args...)...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, lastLines(out, 3))
	}
	return nil
}
