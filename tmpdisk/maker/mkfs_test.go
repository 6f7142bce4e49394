// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package maker

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"nbdkit-tmpdisk-plugin/tmpdisk/disk"
	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs"
)

// TestMain lets an ordinary user's tests find mkfs and fsck programs.
func TestMain(m *testing.M) {
	os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin")
	os.Exit(m.Run())
}

// tool runs a program on the disk, which has no name but the descriptor's.
func tool(t *testing.T, d *disk.Disk, name string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skip("needs ", name)
	}
	fd, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", d.FD()))
	testkit.Must(t, err)
	defer fd.Close()
	cmd := exec.Command(name, append(args, "/dev/fd/3")...)
	cmd.ExtraFiles = []*os.File{fd}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func TestFilesystems(t *testing.T) {
	cases := []struct {
		fsType, size, blkid string
		check               []string // the type's own checker, reading only
		label               string
	}{
		{"ext2", "1M", "ext2", []string{"e2fsck", "-f", "-n"}, "a b'c\"d"},
		{"ext3", "4M", "ext3", []string{"e2fsck", "-f", "-n"}, "-n"},
		{"ext4", "1M", "ext4", []string{"e2fsck", "-f", "-n"}, "0123456789abcdef"},
		{"ext4", "1G", "ext4", []string{"e2fsck", "-f", "-n"}, "größe"},
		{"xfs", "512M", "xfs", []string{"xfs_repair", "-n", "-f"}, "0123456789ab"},
		{"vfat", "1M", "vfat", []string{"fsck.fat", "-n"}, "0123456789A"},
		{"fat", "64M", "vfat", []string{"fsck.fat", "-n"}, "Label"},
		{"msdos", "1G", "vfat", []string{"fsck.fat", "-n"}, "LABEL"},
		{"ntfs", "2M", "ntfs", []string{"ntfsfix", "-n"}, "größe"},
		{"btrfs", "16M", "btrfs", []string{"btrfs", "check", "--readonly"}, "a label"},
		{"btrfs", "1G", "btrfs", []string{"btrfs", "check", "--readonly"}, "größe"},
		{"exfat", "1M", "exfat", []string{"fsck.exfat", "-n"}, "größe"},
		{"exfat", "64M", "exfat", []string{"fsck.exfat", "-n"}, "0123456789a"},
		{"f2fs", "128M", "f2fs", []string{"fsck.f2fs", "--dry-run"}, "größe"},
		{"minix", "1M", "minix", []string{"fsck.minix", "-f"}, ""},
		{"minix", "1G", "minix", []string{"fsck.minix", "-f"}, ""},
		{"swap", "1M", "swap", nil, "0123456789abcde"},
	}
	for _, c := range cases {
		for _, label := range []string{"", c.label} {
			name := c.fsType + " " + c.size
			if label != "" {
				name += " with label"
			} else if c.label == "" {
				continue // minix, once only
			}
			t.Run(name, func(t *testing.T) { checkFilesystem(t, c.fsType, c.size, label, c.blkid, c.check) })
		}
		if c.label == "" {
			t.Run(c.fsType+" "+c.size, func(t *testing.T) { checkFilesystem(t, c.fsType, c.size, "", c.blkid, c.check) })
		}
	}
}

func checkFilesystem(t *testing.T, fsType, size, label, blkid string, check []string) {
	needs := mkfs.Program(fsType)
	if _, err := exec.LookPath(needs); err != nil {
		t.Skip("needs ", needs)
	}
	d := mustMakeDisk(t, "size", size, "type", fsType, "label", label)
	for tag, want := range map[string]string{"TYPE": blkid, "LABEL": label} {
		out, err := tool(t, d, "blkid", "-p", "-o", "value", "-s", tag)
		if got := strings.TrimSuffix(out, "\n"); got != want || (err != nil && want != "") {
			t.Errorf("blkid %s: got %q (%v), want %q", tag, got, err, want)
		}
	}
	if check == nil {
		return
	}
	if out, err := tool(t, d, check[0], check[1:]...); err != nil {
		t.Errorf("%s: %v: %s", strings.Join(check, " "), err, out)
	}
}

// A filesystem of the size of the disk, not of what an old format's defaults hold.
func TestMinixUsesTheWholeDisk(t *testing.T) {
	if _, err := exec.LookPath("mkfs.minix"); err != nil {
		t.Skip("needs mkfs.minix")
	}
	for _, size := range []string{"64M", "65M", "1G", "16G"} {
		d := mustMakeDisk(t, "size", size, "type", "minix")
		out, err := tool(t, d, "blkid", "-p", "-o", "value", "-s", "VERSION")
		want := "3\n"
		if size == "64M" {
			want = "1\n"
		}
		if err != nil || out != want {
			t.Errorf("%s: got version %q (%v), want %q", size, out, err, want)
		}
	}
}

// ext4's inode tables must not be left for the client's kernel to zero.
func TestExt4LeavesNothingToInitialise(t *testing.T) {
	d := mustMakeDisk(t, "size", "1G")
	out, err := tool(t, d, "dumpe2fs")
	if err != nil {
		t.Fatalf("dumpe2fs: %v: %s", err, out)
	}
	groups := strings.Count(out, ": (Blocks ")
	if got := strings.Count(out, "ITABLE_ZEROED"); got != groups || groups == 0 {
		t.Errorf("got %d groups with zeroed inode tables, want all %d", got, groups)
	}
}

// An ext4 disk's UUID stands in no checksum but the superblock's; there are
// checksums, and ext2 and ext3 have none.
func TestExtChecksumsAreWithoutUUID(t *testing.T) {
	for fsType, want := range map[string]bool{"ext2": false, "ext3": false, "ext4": true} {
		for _, size := range []string{"1M", "1G"} {
			out, err := tool(t, mustMakeDisk(t, "size", size, "type", fsType), "dumpe2fs", "-h")
			if err != nil {
				t.Fatalf("%s: %v: %s", fsType, err, out)
			}
			for _, feature := range []string{"metadata_csum", "metadata_csum_seed"} {
				if got := slices.Contains(strings.Fields(out), feature); got != want {
					t.Errorf("%s %s: got %s %v, want %v: %s", fsType, size, feature, got, want, out)
				}
			}
		}
	}
}

// A server that init started has no locale at all.
func TestLabelInAnyLocale(t *testing.T) {
	if _, err := exec.LookPath("mkfs.exfat"); err != nil {
		t.Skip("needs mkfs.exfat")
	}
	for _, locale := range []string{"", "C"} {
		t.Setenv("LC_ALL", locale)
		if locale == "" {
			os.Unsetenv("LC_ALL") // restored by Setenv
			t.Setenv("LANG", "C")
		}
		d := mustMakeDisk(t, "size", "4M", "type", "exfat", "label", "größe")
		out, err := tool(t, d, "blkid", "-p", "-o", "value", "-s", "LABEL")
		if err != nil || out != "größe\n" {
			t.Errorf("LC_ALL=%q: got label %q (%v), want größe", locale, out, err)
		}
	}
}

func TestMkfsFails(t *testing.T) {
	cases := []struct {
		name  string
		pairs []string
		wants []string
	}{
		{"unknown type", []string{"size", "1M", "type", "nosuch"},
			[]string{"exit code 127", "mkfs.nosuch: program not found: no nosuch disks without it"}},
		{"too small", []string{"size", "1M", "type", "btrfs"}, []string{"exit code 1", "too small"}},
		{"a reason on standard output", []string{"size", "1M", "type", "f2fs"}, []string{"not sufficient"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			needs := mkfs.Program(c.pairs[3])
			if _, err := exec.LookPath(needs); err != nil && c.pairs[3] != "nosuch" {
				t.Skip("needs ", needs)
			}
			_, err := makeDisk(t, c.pairs...)
			testkit.Contains(t, err, c.wants...)
		})
	}
}
