// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"errors"
	"os/exec"
	"strings"
	"testing"
)

func TestMkfsMissingNamesThePackage(t *testing.T) {
	for fsType, fs := range filesystems {
		script := Script(fsType, 1<<30, false, 0)
		script = strings.ReplaceAll(script, fs.program, "mkfs-that-is-not-there")
		cmd := exec.Command("/bin/sh", "-c", script)
		cmd.Env = []string{"PATH=/usr/bin:/bin"}
		out, err := cmd.CombinedOutput()
		want := "program not found: no " + fsType + " disks without it (Debian package " + fs.debian + ")"
		if err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%s: got %q (%v), want %q in it", fsType, out, err, want)
		}
	}
}

func TestUnknownOption(t *testing.T) {
	for text, want := range map[string]bool{
		"command: exit code 1: Bad option(s) specified: assume_storage_prezeroed=1":         true,
		"command: exit code 1: Invalid filesystem option set: metadata_csum_seed":           true,
		"command: exit code 1: mkfs.ext4: No space left on device while writing superblock": false,
		"command: timed out after 1s, which command-timeout allows":                         false,
	} {
		if got := UnknownOption("ext4", 0, errors.New(text)); got != want {
			t.Errorf("%s: got %t, want %t", text, got, want)
		}
	}
	unknown := errors.New("Bad option(s) specified")
	if UnknownOption("xfs", 0, unknown) {
		t.Error("got other options for xfs, want none")
	}
	if UnknownOption("ext4", 2, unknown) {
		t.Error("got a third set of older options, want two")
	}
}
