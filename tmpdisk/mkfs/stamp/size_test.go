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

// A filesystem of each type fills its disk, and not one that is an eighth larger.
func TestCheckSize(t *testing.T) {
	for _, fsType := range []string{"ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "exfat", "ntfs", "f2fs", "swap", "minix"} {
		for _, size := range []int64{512 * kit.MiB, 3*kit.GiB + 12345*4096} {
			t.Run(fmt.Sprint(fsType, " ", size), func(t *testing.T) {
				f := kit.New(t, kit.Case{Type: fsType, Size: size})
				if err := stamp.CheckSize(fsType, size, f); err != nil {
					t.Errorf("got %v, want nothing wrong", err)
				}
				larger := size + size/8
				var part *stamp.PartError
				if err := stamp.CheckSize(fsType, larger, f); !errors.As(err, &part) {
					t.Fatalf("of %d bytes: got %v, want that it is smaller", larger, err)
				}
				if part.Disk != larger || part.Size > size || part.Size < size-16*kit.MiB {
					t.Errorf("got %v, want about %d and %d", part, size, larger)
				}
			})
		}
	}
}

// Where nothing is understood nothing is wrong, and an error of the reader's is told.
func TestCheckSizeUnknown(t *testing.T) {
	for _, fsType := range []string{"ext4", "xfs", "btrfs", "vfat", "exfat", "ntfs", "f2fs", "swap", "minix", "other"} {
		if err := stamp.CheckSize(fsType, kit.GiB, kit.Empty(t, 512*kit.MiB)); err != nil {
			t.Errorf("%s: got %v, want nothing wrong", fsType, err)
		}
	}
	f := kit.Empty(t, 4096)
	f.Close()
	if stamp.CheckSize("ext4", kit.GiB, f) == nil {
		t.Error("a file that is closed: got no error")
	}
}

// mkfs.fat warns only.
func TestCheckSizeOfWhatIsTooLarge(t *testing.T) {
	size := 3 << 10 * kit.GiB
	err := stamp.CheckSize("vfat", size, kit.New(t, kit.Case{Type: "vfat", Size: size}))
	var part *stamp.PartError
	if !errors.As(err, &part) || part.Size > 2<<10*kit.GiB {
		t.Errorf("got %v, want that it has 2 TiB", err)
	}
}
