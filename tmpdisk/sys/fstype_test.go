// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/internal/testkit"
)

func TestFSType(t *testing.T) {
	cases := []struct {
		magic              FSType
		name               string
		shared, tellsHoles bool
	}{
		{0xef53, "ext2/ext3/ext4", false, true},
		{0x58465342, "xfs", false, true},
		{0x9123683e, "btrfs", false, true},
		{0xf2f52010, "f2fs", false, true},
		{0x01021994, "tmpfs", false, true},
		{0x794c7630, "overlay", false, false},
		{0x2fc12fc1, "ZFS", false, false},
		{0xca451a4e, "bcachefs", false, false},
		{0x65735546, "FUSE", true, false},
		{0x6969, "NFS", true, false},
		{0x00c36400, "CephFS", true, false},
		{0x01161970, "GFS2", true, false},
		{0x7461636f, "OCFS2", true, false},
		{0xff534d42, "SMB/CIFS", true, false},
		{0xfe534d42, "SMB/CIFS", true, false},
		{0x01021997, "9p", true, false},
		{0x0bd00bd0, "Lustre", true, false},
		{0x12345678, "0x12345678", true, false},
		{0, "0x0", true, false},
	}
	for _, c := range cases {
		if got := c.magic.String(); got != c.name {
			t.Errorf("%#x: got %s, want %s", uint32(c.magic), got, c.name)
		}
		if got := c.magic.Shared(); got != c.shared {
			t.Errorf("%s: got shared %t, want %t", c.name, got, c.shared)
		}
		if got := c.magic.TellsHoles(); got != c.tellsHoles {
			t.Errorf("%s: got tells holes %t, want %t", c.name, got, c.tellsHoles)
		}
	}
}

func TestDistrustHoles(t *testing.T) {
	const f2fs = FSType(unix.F2FS_SUPER_MAGIC)
	defer distrusted.Delete(f2fs)
	DistrustHoles(f2fs)
	if f2fs.TellsHoles() || !FSType(unix.XFS_SUPER_MAGIC).TellsHoles() {
		t.Error("got f2fs trusted or xfs not, want the reverse")
	}
}

func TestFSTypeOf(t *testing.T) {
	cases := []struct {
		name string
		dir  func(testing.TB) string
		want string
	}{
		{"tmpfs", func(t testing.TB) string { return testkit.Tmpfs(t, "1M") }, "tmpfs"},
		{"FUSE", testkit.FUSE, "FUSE"},
		{"proc", func(testing.TB) string { return "/proc" }, "0x9fa0"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir, err := os.Open(c.dir(t))
			testkit.Must(t, err)
			defer dir.Close()
			if got, err := FSTypeOf(int(dir.Fd())); got.String() != c.want || err != nil {
				t.Errorf("got %s, %v, want %s", got, err, c.want)
			}
		})
	}
	if _, err := FSTypeOf(-1); err == nil {
		t.Errorf("got no error, want %v", unix.EBADF)
	}
}

func TestParseOptions(t *testing.T) {
	const mounts = `21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
2 21 0:45 / /srv rw,nosuid - nfs server:/srv rw,vers=3,nolock
30 21 0:46 /x /a\040-\040b ro - 9p tag rw
31 21 0:47 / /broken rw
`
	for id, want := range map[string]string{
		"21": "rw,errors=remount-ro", "2": "rw,vers=3,nolock", "30": "rw", "31": "", "3": "", "99": "",
	} {
		if got := parseOptions(mounts, id); got != want {
			t.Errorf("mount %s: got %q, want %q", id, got, want)
		}
	}
}

func TestMountOptions(t *testing.T) {
	if got := MountOptions(testkit.Tmpfs(t, "1M")); !strings.Contains(got, "size=1024k") {
		t.Errorf("got %q, want size=1024k", got)
	}
	if got := MountOptions(t.TempDir() + "/missing"); got != "" {
		t.Errorf("got %q of a directory that is not there", got)
	}
}

func TestTellsHoles(t *testing.T) {
	cases := []struct {
		name string
		dir  func(testing.TB) string
		want bool
	}{
		{"tmpfs", func(t testing.TB) string { return testkit.Tmpfs(t, "1M") }, true},
		{"FUSE", func(t testing.TB) string { return testkit.FUSE(t) }, false},
		{"proc", func(t testing.TB) string { return "/proc" }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir, err := os.Open(c.dir(t))
			testkit.Must(t, err)
			defer dir.Close()
			fsType, err := FSTypeOf(int(dir.Fd()))
			if got := fsType.TellsHoles(); got != c.want || err != nil {
				t.Errorf("got %t (%v), want %t", got, err, c.want)
			}
		})
	}
}

// A descriptor that cannot be flushed shows what is.
func TestSettleHoles(t *testing.T) {
	cases := []struct {
		name string
		dir  func(testing.TB) string
		want error
	}{
		{"tmpfs", func(t testing.TB) string { return testkit.Tmpfs(t, "1M") }, nil},
		{"FUSE", func(t testing.TB) string { return testkit.FUSE(t) }, unix.EBADF},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			fd, err := unix.Open(c.dir(t), unix.O_PATH, 0)
			testkit.Must(t, err)
			defer unix.Close(fd)
			if err := SettleHoles(fd); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestNextData(t *testing.T) {
	const unit = 64 << 10 // no filesystem's block is larger
	f, err := os.Create(testkit.Tmpfs(t, "4M") + "/file")
	testkit.Must(t, err)
	defer f.Close()
	testkit.Must(t, f.Truncate(4*unit))
	if _, err := f.WriteAt(make([]byte, unit), unit); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ off, size, from, to int64 }{
		{0, 4 * unit, unit, 2 * unit},
		{unit + 1, 4 * unit, unit + 1, 2 * unit},
		{2 * unit, 4 * unit, 4 * unit, 4 * unit},
		{4 * unit, 4 * unit, 4 * unit, 4 * unit},
		{unit, unit + 5, unit, unit + 5},
	}
	for _, c := range cases {
		from, to, err := NextData(int(f.Fd()), c.off, c.size)
		if from != c.from || to != c.to || err != nil {
			t.Errorf("at %d of %d: got %d, %d, %v, want %d, %d", c.off, c.size, from, to, err, c.from, c.to)
		}
	}
}
