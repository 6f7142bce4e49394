// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package stamp_test

import (
	"errors"
	"fmt"
	"testing"

	kit "nbdkit-tmpdisk-plugin/tmpdisk/internal/imagekit"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp"
)

// Each identity is another one, and so is each second one.
func TestStampIsUnique(t *testing.T) {
	eachType(t, func(t *testing.T, fsType string, size int64) {
		f := kit.New(t, kit.Case{Type: fsType, Size: size})
		s := kit.Understood(t, fsType, size, f)
		seen := map[string]int{}
		for n := range 1000 {
			kit.Apply(t, f, size, s.Patches(kit.ID(n)))
			for _, a := range onDisk[fsType] {
				got := string(read(t, f, a.off, a.length))
				if m, ok := seen[got]; ok {
					t.Errorf("got %x for %d and %d", got, m, n)
				}
				seen[got] = n
			}
		}
	})
}

// The caller may change what it got.
func TestPatchesAreTheCallers(t *testing.T) {
	eachType(t, func(t *testing.T, fsType string, size int64) {
		s := kit.Understood(t, fsType, size, kit.New(t, kit.Case{Type: fsType, Size: size}))
		want := fmt.Sprint(s.Patches(kit.ID(1)))
		for _, p := range s.Patches(kit.ID(1)) {
			clear(p.Data)
		}
		if got := fmt.Sprint(s.Patches(kit.ID(1))); got != want {
			t.Errorf("got other patches after the first were overwritten")
		}
	})
}

// What is stamped is a mold again, and stamping it the same way changes nothing.
func TestStampTwice(t *testing.T) {
	eachType(t, func(t *testing.T, fsType string, size int64) {
		f := kit.New(t, kit.Case{Type: fsType, Size: size})
		kit.Apply(t, f, size, kit.Understood(t, fsType, size, f).Patches(kit.ID(1)))
		for _, p := range kit.Understood(t, fsType, size, f).Patches(kit.ID(1)) {
			if string(read(t, f, p.Off, len(p.Data))) != string(p.Data) {
				t.Errorf("%d bytes at %d: changed by the same identity", len(p.Data), p.Off)
			}
		}
	})
}

// One thing is changed in a good mold, or the mold is another program's.
func TestGuard(t *testing.T) {
	const f2fs = 1024
	cases := []struct {
		name, fsType, command string
		change                kit.Change
		want                  string
	}{
		{"version", "swap", "", kit.Put(1024, 2), "version 0x2"},
		{"last page", "swap", "", kit.Put(1028+3, 1), "last page"},
		{"bad pages", "swap", "", kit.Put(1032, 1), "bad pages 0x1"},
		{"padding", "swap", "", kit.Put(1068, 1), "after the label"},
		{"another type", "swap", "mkfs.ext4 -q -F", nil, "no signature"},
		{"magic", "minix", "", kit.Put(1024+16, 0), "no magic number"},
		{"another type", "minix", "mkswap", nil, "no magic number"},
		{"magic", "f2fs", "", kit.Put(f2fs, 'X'), "magic number"},
		{"inode checksums", "f2fs", "mkfs.f2fs -f -t 0 -O extra_attr,inode_checksum", nil, "features 0x20"},
		{"no checksum", "f2fs", "mkfs.f2fs -f -t 0 -O extra_attr,sb_checksum", kit.Put(f2fs+32, 0, 0, 0, 0), "offset of the checksum 0x0"},
		{"checksum", "f2fs", "mkfs.f2fs -f -t 0 -O extra_attr,sb_checksum", kit.Put(f2fs+3068, 0, 0, 0, 0), "wrong checksum at 1024"},
		{"second superblock", "f2fs", "", kit.Put(4096+f2fs+130, 'x'), "unexpected bytes at 5120"},
		{"unknown type", "nosuch", "mkswap", nil, "nosuch"},
	}
	for _, c := range cases {
		t.Run(c.fsType+" "+c.name, func(t *testing.T) {
			kit.WantRefused(t, kit.Case{Type: c.fsType, Size: 64 * kit.MiB, Command: c.command}, c.change, c.want)
		})
	}
}

// A disk that ends too early is no reason to read beyond its end.
func TestTruncated(t *testing.T) {
	eachType(t, func(t *testing.T, fsType string, size int64) {
		f := kit.New(t, kit.Case{Type: fsType, Size: size})
		for _, short := range []int64{0, 1, 511, 512, 4096, 64 * kit.KiB, 4 * kit.MiB} {
			if fsType == "minix" && short > 1024 {
				continue // only its magic number is looked at
			}
			_, err := stamp.New(fsType, short, f)
			kit.WantNotUnderstood(t, err, "")
		}
	})
}

// An error of the image's is not taken for something unknown.
func TestReadError(t *testing.T) {
	eachType(t, func(t *testing.T, fsType string, _ int64) {
		_, err := stamp.New(fsType, kit.MiB, kit.Empty(t, 0))
		if err == nil || errors.Is(err, stamp.ErrNotUnderstood) {
			t.Errorf("got %v, want the reader's error", err)
		}
	})
}

func FuzzSwap(f *testing.F) {
	kit.FuzzStamp(f, kit.Case{Type: "swap", Size: 64 * kit.KiB}, nil, 1024, 1028, 1068, 4096-10)
}

func FuzzMinix(f *testing.F) {
	kit.FuzzStamp(f, kit.Case{Type: "minix", Size: 64 * kit.KiB}, nil, 1024+16, 1024+24)
}

func FuzzF2FS(f *testing.F) {
	const super = 1024
	kit.FuzzStamp(f, kit.Case{Type: "f2fs", Size: 52 * kit.MiB}, func(image kit.Image) {
		kit.Copy(image, super, 3072, []int64{4096 + super}, nil)
	}, super, super+16, super+36, super+108, super+2180, super+2201)
}

func BenchmarkPatches(b *testing.B) {
	for _, fsType := range []string{"ext4", "xfs", "btrfs", "f2fs", "swap", "vfat", "exfat", "ntfs"} {
		b.Run(fsType, func(b *testing.B) {
			size := 16 * kit.GiB
			s := kit.Understood(b, fsType, size, kit.New(b, kit.Case{Type: fsType, Size: size}))
			b.ReportAllocs()
			for n := range b.N {
				s.Patches(stamp.ID{byte(n), byte(n >> 8)})
			}
		})
	}
}
