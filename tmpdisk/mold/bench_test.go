// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mold_test

import (
	"crypto/rand"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	kit "nbdkit-tmpdisk-plugin/tmpdisk/internal/imagekit"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp"
	"nbdkit-tmpdisk-plugin/tmpdisk/mold"
)

// BenchmarkCast makes an unnamed file, casts a disk of 16 GiB with an identity
// of its own into it, and closes it.
func BenchmarkCast(b *testing.B) {
	for _, fsType := range []string{"ext2", "ext3", "ext4", "xfs", "vfat", "ntfs", "btrfs", "exfat", "f2fs", "minix", "swap"} {
		b.Run(fsType, func(b *testing.B) {
			m := readMold(b, kit.New(b, kit.Case{Type: fsType, Size: 16 * kit.GiB}))
			stamping := kit.Understood(b, fsType, m.Size(), m)
			dir := os.TempDir()
			b.ResetTimer()
			b.ReportMetric(float64(m.Kept())/1024, "KiB-kept")
			b.ReportAllocs()
			cpu := cpuTime(b)
			for range b.N {
				var id stamp.ID
				rand.Read(id[:])
				castOnce(b, m, dir, stamping.Patches(id))
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

func castOnce(b *testing.B, m *mold.Mold, dir string, patches []stamp.Patch) {
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
