// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mold_test

import (
	"crypto/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs"
	"nbdkit-tmpdisk-plugin/tmpdisk/mold"
)

// benchMkfs are the programs, with the options that the server gives them.
var benchMkfs = map[string]string{
	"ext2":  "mkfs.ext2 -q -F -E nodiscard,assume_storage_prezeroed=1,resize=33554432",
	"ext3":  "mkfs.ext3 -q -F -E nodiscard,assume_storage_prezeroed=1,resize=33554432",
	"ext4":  "mkfs.ext4 -q -F -E nodiscard,assume_storage_prezeroed=1,resize=33554432",
	"xfs":   "mkfs.xfs -q -f -K",
	"vfat":  "mkfs.fat",
	"ntfs":  "mkfs.ntfs -q -F -Q",
	"btrfs": "mkfs.btrfs -q -f -K",
	"exfat": "mkfs.exfat",
	"f2fs":  "mkfs.f2fs -f -t 0",
	"minix": "mkfs.minix -3 -i 65535",
	"swap":  "mkswap",
}

// makeImage runs the type's program on a new file of size bytes.
func makeImage(t testing.TB, fsType string, size int64) *os.File {
	t.Helper()
	f := create(t, t.TempDir())
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	args := append(strings.Fields(benchMkfs[fsType]), f.Name())
	if out, err := exec.Command(program(t, args[0]), args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", args[0], err, out)
	}
	return f
}

// program finds programs that an ordinary user's PATH lacks.
func program(t testing.TB, name string) string {
	t.Helper()
	for _, dir := range append(filepath.SplitList(os.Getenv("PATH")), "/usr/sbin", "/sbin") {
		if path, err := exec.LookPath(filepath.Join(dir, name)); err == nil {
			return path
		}
	}
	t.Skip("needs ", name)
	return ""
}

// BenchmarkCast makes an unnamed file, casts a disk of 16 GiB with an identity
// of its own into it, and closes it. What is not understood yet is cast as it is.
func BenchmarkCast(b *testing.B) {
	for fsType := range benchMkfs {
		b.Run(fsType, func(b *testing.B) {
			m := readMold(b, makeImage(b, fsType, 16<<30))
			stamp, stampErr := mkfs.NewStamp(fsType, m.Size(), m)
			dir := os.TempDir()
			b.ReportMetric(float64(m.Kept())/1024, "KiB-kept")
			b.ReportAllocs()
			cpu := cpuTime(b)
			for b.Loop() {
				var patches []mkfs.Patch
				if stampErr == nil {
					var id mkfs.ID
					rand.Read(id[:])
					patches = stamp.Patches(id)
				}
				castOnce(b, m, dir, patches)
			}
			b.ReportMetric((cpuTime(b)-cpu).Seconds()*1e6/float64(b.N), "µs-CPU/op")
		})
	}
}

// cpuTime is this process's: other processes on the machine do not change it much.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var ru unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &ru); err != nil {
		b.Fatal(err)
	}
	return time.Duration(ru.Utime.Nano() + ru.Stime.Nano())
}

func castOnce(b *testing.B, m *mold.Mold, dir string, patches []mkfs.Patch) {
	b.Helper()
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		b.Skip("needs unnamed files: ", err)
	}
	if err := m.Cast(fd, patches); err != nil {
		b.Fatal(err)
	}
	if err := unix.Close(fd); err != nil {
		b.Fatal(err)
	}
}
