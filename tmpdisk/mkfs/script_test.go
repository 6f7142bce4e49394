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
		script := Spec{Type: fsType, Size: 1 << 30}.Script()
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

// The last line of the script is the program's command line. Options that are asked for
// come after ours, so that they win where the program lets the last one win.
func TestOptions(t *testing.T) {
	cases := []struct {
		name    string
		spec    Spec
		command string
	}{
		{"none", Spec{Type: "ext4", Size: 1 << 20},
			`exec mkfs.ext4 -q -F -O metadata_csum,metadata_csum_seed -E nodiscard,assume_storage_prezeroed=1 "$disk"`},
		{"after ours", Spec{Type: "xfs", Label: true, Options: []string{"-L", "it's", "-m", "crc=0"}},
			`exec mkfs.xfs -q -f -K -L "$label" '-L' 'it'\''s' '-m' 'crc=0' "$disk"`},
		{"lists of mke2fs", Spec{Type: "ext4", Options: []string{"-O", "quota", "-m", "0", "-Eroot_owner=1:1", "-Oproject"}},
			`exec mkfs.ext4 -q -F -O metadata_csum,metadata_csum_seed,quota,project ` +
				`-E 'nodiscard,assume_storage_prezeroed=1,root_owner=1:1' '-m' '0' "$disk"`},
		{"no checksums", Spec{Type: "ext4", Options: []string{"-O", "^metadata_csum"}},
			`exec mkfs.ext4 -q -F -O 'metadata_csum,metadata_csum_seed,^metadata_csum,^metadata_csum_seed' ` +
				`-E nodiscard,assume_storage_prezeroed=1 "$disk"`},
		{"room to grow", Spec{Type: "ext2", Size: 1 << 30},
			`exec mkfs.ext2 -q -F -E nodiscard,assume_storage_prezeroed=1,resize=4194304 "$disk"`},
		{"no room to grow", Spec{Type: "ext2", Size: 1 << 30, Options: []string{"-O", "^resize_inode"}},
			`exec mkfs.ext2 -q -F -O '^resize_inode' -E nodiscard,assume_storage_prezeroed=1 "$disk"`},
		{"an option without its value", Spec{Type: "ext2", Options: []string{"-O"}},
			`exec mkfs.ext2 -q -F -E nodiscard,assume_storage_prezeroed=1 '-O' "$disk"`},
		{"large sectors, small blocks", Spec{Type: "ext2", Size: 1 << 20, Sector: 2048},
			`exec mkfs.ext2 -q -F -b 2048 -E nodiscard,assume_storage_prezeroed=1 "$disk"`},
		{"no larger than the blocks", Spec{Type: "ext2", Size: 1 << 20, Sector: 1024},
			`exec mkfs.ext2 -q -F -E nodiscard,assume_storage_prezeroed=1 "$disk"`},
		{"large blocks", Spec{Type: "ext2", Size: 512 << 20, Sector: 4096},
			`exec mkfs.ext2 -q -F -E nodiscard,assume_storage_prezeroed=1,resize=4194304 "$disk"`},
		{"sectors of xfs", Spec{Type: "xfs", Sector: 512}, `exec mkfs.xfs -q -f -K -s size=512 "$disk"`},
		{"sectors of vfat", Spec{Type: "vfat", Sector: 4096}, `exec mkfs.fat -S 4096 "$disk"`},
		{"sectors of ntfs", Spec{Type: "ntfs", Sector: 4096}, `exec mkfs.ntfs -q -F -Q -s 4096 "$disk"`},
		{"sectors of exfat", Spec{Type: "exfat", Sector: 4096, Size: 1 << 20}, `exec mkfs.exfat -b 64K -s 4096 "$disk"`},
		{"sectors as always", Spec{Type: "exfat", Sector: 512, Size: 1 << 20}, `exec mkfs.exfat -b 64K "$disk"`},
		{"no matter", Spec{Type: "btrfs", Sector: 4096, Size: 1 << 30}, `exec mkfs.btrfs -q -f -K "$disk"`},
		{"another type", Spec{Type: "other", Options: []string{"-O", "x"}}, `exec mkfs.other '-O' 'x' "$disk"`},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			script := strings.TrimSuffix(c.spec.Script(), "\n")
			if got := script[strings.LastIndex(script, "\n")+1:]; got != c.command {
				t.Errorf("got %s, want %s", got, c.command)
			}
		})
	}
}
