// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"os/exec"
	"strings"
	"testing"
)

func TestMkfsMissingNamesThePackage(t *testing.T) {
	for fsType, fs := range filesystems {
		script := Script(fsType, 1<<30, false)
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
