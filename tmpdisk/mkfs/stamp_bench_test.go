// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import "testing"

func BenchmarkPatches(b *testing.B) {
	for _, fsType := range []string{"ext4", "swap", "vfat", "exfat", "ntfs"} {
		b.Run(fsType, func(b *testing.B) {
			size := 16 * gib
			s := mustStamp(b, fsType, size, newMold(b, moldCase{fsType: fsType, size: size}))
			b.ReportAllocs()
			for n := range b.N {
				s.Patches(ID{byte(n), byte(n >> 8)})
			}
		})
	}
}
