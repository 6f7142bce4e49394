// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package stamp_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	kit "nbdkit-tmpdisk-plugin/tmpdisk/internal/imagekit"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp"
)

const odd = 1234567 // bytes, a multiple of nothing

// sizes has the smallest that each mkfs takes, and what is large for it.
var sizes = []struct {
	names, label string
	smallest     int64
	sizes        []int64 // the first is that of the disk with a label
}{
	{"ext2", "0123456789abcdef", 104 * kit.KiB, []int64{kit.MiB + odd, kit.GiB, kit.GiB + odd, 16 * kit.GiB}},
	{"ext3", "0123456789abcdef", 104 * kit.KiB, []int64{kit.MiB + odd, 4 * kit.MiB, kit.GiB, kit.GiB + odd, 16 * kit.GiB}},
	{"ext4", "größe", 104 * kit.KiB, []int64{kit.MiB + odd, 8 * kit.MiB, kit.GiB, kit.GiB + odd, 16 * kit.GiB, 256 * kit.GiB, 16 * kit.TiB}},
	{"xfs", "größe", 300 * kit.MiB, []int64{301*kit.MiB + 12345, kit.GiB, 16 * kit.GiB, 256*kit.GiB + 7777777, 16*kit.TiB - 4096}}, // ext4 holds no more
	{"btrfs", "größe", 16 * kit.MiB, []int64{128*kit.MiB + odd, kit.GiB, 16 * kit.GiB,
		256*kit.GiB + 4096, // just room for the third superblock
		257*kit.GiB + 7777777, 16 * kit.TiB}},
	{"f2fs", "größe", 52 * kit.MiB, []int64{99*kit.MiB + 12345, kit.GiB, 16 * kit.GiB, 256*kit.GiB + 7777777, 15 * kit.TiB}},
	{"swap", "0123456789abcde", 40 * kit.KiB, []int64{kit.MiB + odd, kit.GiB, 16 * kit.GiB, 256 * kit.GiB, 16 * kit.TiB}},
	{"fat vfat msdos", "LABEL", 50 * kit.KiB, []int64{kit.MiB + odd, 64 * kit.MiB}},
	{"vfat", "LABEL", kit.GiB, []int64{kit.GiB + odd, 16 * kit.GiB, 256 * kit.GiB, 16 * kit.TiB}},
	// With less than 160 KiB mkfs.exfat puts the root directory behind the end.
	{"exfat", "größe", 160 * kit.KiB, []int64{kit.MiB + odd, kit.GiB, kit.GiB + odd, 16 * kit.GiB, 256 * kit.GiB, 16 * kit.TiB}},
	{"ntfs", "größe", 1025 * kit.KiB, []int64{kit.MiB + odd, kit.GiB, kit.GiB + odd, 16 * kit.GiB, 256 * kit.GiB, 16 * kit.TiB}},
	{"minix", "", 10 * kit.KiB, []int64{kit.MiB + odd, 64 * kit.MiB, kit.GiB, kit.GiB + odd, 16 * kit.GiB, 64 * kit.GiB}},
}

// eachType runs a test for each type on a disk of a size that is made fast.
func eachType(t *testing.T, run func(t *testing.T, fsType string, size int64)) {
	for _, fsType := range strings.Fields("ext2 ext3 ext4 swap fat vfat msdos exfat ntfs minix") {
		t.Run(fsType, func(t *testing.T) { run(t, fsType, 8*kit.MiB) })
	}
	for _, fsType := range strings.Fields("xfs btrfs f2fs") {
		t.Run(fsType, func(t *testing.T) { run(t, fsType, kit.GiB) })
	}
}

func TestStamp(t *testing.T) {
	for _, c := range sizes {
		for _, fsType := range strings.Fields(c.names) {
			for _, size := range append([]int64{c.smallest}, c.sizes...) {
				t.Run(fmt.Sprintf("%s %d", fsType, size), func(t *testing.T) {
					checkStamp(t, kit.Case{Type: fsType, Size: size})
				})
			}
			if c.label != "" {
				t.Run(fsType+" with label", func(t *testing.T) {
					checkStamp(t, kit.Case{Type: fsType, Size: c.sizes[0], Label: c.label})
				})
			}
		}
	}
}

// Formats that the plugin does not ask for, but mke2fs.conf may, and pages and
// sectors of other machines.
func TestStampOtherFormats(t *testing.T) {
	const ext4 = "mkfs.ext4 -q -F -O metadata_csum,metadata_csum_seed"
	cases := []kit.Case{
		{Type: "ext4", Size: kit.GiB, Command: ext4 + " -b 1024"},
		{Type: "ext4", Size: kit.GiB, Command: ext4 + " -b 2048"},
		{Type: "ext4", Size: kit.GiB, Command: ext4 + ",meta_bg,^resize_inode -b 1024"},
		{Type: "ext4", Size: kit.GiB, Command: ext4 + ",orphan_file"},
		{Type: "ext4", Size: kit.GiB, Command: "mkfs.ext4 -q -F -O ^metadata_csum,^uninit_bg"},
		{Type: "ext4", Size: kit.GiB, Command: ext4 + ",^has_journal"},
		{Type: "ext4", Size: kit.GiB, Command: ext4 + ",^sparse_super,^resize_inode -g 1024"},
		{Type: "ext3", Size: 256 * kit.MiB, Command: "mkfs.ext3 -q -F -b 1024 -J size=64"},
		{Type: "ext4", Size: 64 * kit.GiB, Command: ext4 + ",^flex_bg,^resize_inode -g 4096"},
		{Type: "xfs", Size: kit.GiB, Command: "mkfs.xfs -q -f -K -s size=4096"},
		{Type: "xfs", Size: kit.GiB, Command: "mkfs.xfs -q -f -K -d su=64k,sw=2 -l su=32k"},
		{Type: "xfs", Size: kit.GiB, Command: "mkfs.xfs -q -f -K -b size=1024 -m rmapbt=1 -i nrext64=1"},
		{Type: "xfs", Size: kit.GiB, Command: "mkfs.xfs -q -f -K -m reflink=0,finobt=0,inobtcount=0,bigtime=0 -i nrext64=0,sparse=0"},
		{Type: "btrfs", Size: 109 * kit.MiB, Command: "mkfs.btrfs -q -f -K"},
		{Type: "btrfs", Size: kit.GiB, Command: "mkfs.btrfs -q -f -K -m single"},
		{Type: "btrfs", Size: kit.GiB, Command: "mkfs.btrfs -q -f -K -O ^no-holes -R ^free-space-tree -n 65536"},
		{Type: "f2fs", Size: kit.GiB, Command: "mkfs.f2fs -f -t 0 -O extra_attr,sb_checksum,project_quota,inode_crtime,lost_found,encrypt,verity,compression,flexible_inline_xattr"},
		{Type: "swap", Size: kit.MiB, Command: "mkswap -p 65536"},
		{Type: "vfat", Size: 64 * kit.MiB, Command: "mkfs.fat -F 32 -S 4096"},
		{Type: "vfat", Size: 64 * kit.MiB, Command: "mkfs.fat -F 32 -b 9 -R 32 -f 1"},
		{Type: "vfat", Size: 64 * kit.MiB, Command: "mkfs.fat -F 16 -S 2048"},
		{Type: "ntfs", Size: 64 * kit.MiB, Command: "mkfs.ntfs -q -F -Q -s 4096"},
		{Type: "ntfs", Size: 64 * kit.MiB, Command: "mkfs.ntfs -q -F -Q -c 65536"},
		{Type: "ntfs", Size: 64 * kit.MiB, Command: "mkfs.ntfs -q -F -Q -c 131072"},
		{Type: "ntfs", Size: 64 * kit.MiB, Command: "mkfs.ntfs -q -F -Q -c 512"},
		{Type: "minix", Size: kit.MiB, Command: "mkfs.minix -2 -n 14"},
		{Type: "minix", Size: kit.MiB, Command: "mkfs.minix -2 -n 30"},
		{Type: "minix", Size: kit.MiB, Command: "mkfs.minix -1 -n 14"},
		{Type: "ext4", Size: kit.GiB, Command: ext4 + ",quota,project"},
		{Type: "ext4", Size: kit.GiB, Command: ext4 + ",project"},
		{Type: "ext4", Size: kit.GiB, Command: ext4 + ",bigalloc"},
		{Type: "ext4", Size: kit.GiB, Command: ext4 + ",bigalloc -b 1024 -C 4096"},
		{Type: "ext4", Size: kit.GiB, Command: ext4 + ",sparse_super2"},
		{Type: "ext4", Size: kit.GiB, Command: ext4 + ",sparse_super2 -E num_backup_sb=0"},
		{Type: "ext4", Size: kit.GiB, Command: ext4 + ",sparse_super2 -E num_backup_sb=1"},
		{Type: "ext4", Size: kit.GiB, Command: ext4 + ",casefold,verity,encrypt,stable_inodes"},
		{Type: "ext4", Size: kit.GiB, Command: ext4 + ",inline_data,ea_inode,large_dir"},
		{Type: "ext4", Size: kit.GiB, Command: ext4 + ",fast_commit"},
		{Type: "ext4", Size: kit.GiB, Command: ext4 + ",mmp"},
		{Type: "ext4", Size: kit.GiB, Command: ext4 + ",mmp,bigalloc,quota,project,orphan_file -E stride=4"},
		{Type: "ext4", Size: kit.GiB, Command: ext4 + " -b 65536"},
		{Type: "xfs", Size: kit.GiB, Command: "mkfs.xfs -q -f -K -m crc=0"},
		{Type: "xfs", Size: kit.GiB, Command: "mkfs.xfs -q -f -K -m crc=0 -n ftype=0 -i size=256"},
		{Type: "xfs", Size: kit.GiB, Command: "mkfs.xfs -q -f -K -n version=ci"},
		// With such labels the number that ends each 512 bytes of a record
		// stands in the middle of an attribute's header.
		{Type: "ntfs", Size: 2 * kit.MiB, Label: strings.Repeat("x", 38)},
		{Type: "ntfs", Size: 2 * kit.MiB, Label: strings.Repeat("x", 58)},
	}
	for _, c := range cases {
		t.Run(fmt.Sprint(c.Type, " ", c.Command, c.Label), func(t *testing.T) { checkStamp(t, c) })
	}
}

func checkStamp(t *testing.T, c kit.Case) {
	f := kit.New(t, c)
	id := kit.ID(1)
	before := identities(t, f, c.Type)
	kit.Apply(t, f, c.Size, kit.Understood(t, c.Type, c.Size, f).Patches(id))
	kit.Understood(t, c.Type, c.Size, f)
	if c.Type != "ntfs" || c.Size <= 16*kit.GiB { // too much to read
		wantNowhere(t, f, before)
	}
	fsType := c.Type
	switch {
	case fsType == "fat" || fsType == "msdos":
		fsType = "vfat"
	case fsType == "ext3" && c.Size < 2*kit.MiB:
		fsType = "ext2" // has no room for a journal
	}
	kit.WantTags(t, f.Name(), fsType, c.Label, shown(c.Type, id))
	if c.Size < kit.TiB || !slowCheckers[c.Type] {
		kit.WantClean(t, c.Type, f.Name())
	}
}

// slowCheckers take 6 s and more for 16 TiB.
var slowCheckers = map[string]bool{"ext4": true, "vfat": true, "f2fs": true}

// shown is what blkid shows of a disk with that identity.
func shown(fsType string, id stamp.ID) string {
	switch fsType {
	case "vfat", "fat", "msdos", "exfat":
		return fmt.Sprintf("%02X%02X-%02X%02X", id[3], id[2], id[1], id[0])
	case "ntfs":
		return fmt.Sprintf("%016X", binary.LittleEndian.Uint64(id[:]))
	case "minix":
		return ""
	}
	u := id
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])
}

// An identity on the disk. The mold's may stay somewhere else if kept is set.
type identity struct {
	off    int64
	length int
	kept   bool
}

var onDisk = map[string][]identity{
	"ext2":  {{1024 + 0x68, 16, false}, {1024 + 0xec, 16, false}}, // UUID and hash seed
	"ext3":  {{1024 + 0x68, 16, false}, {1024 + 0xec, 16, false}},
	"ext4":  {{1024 + 0x68, 16, false}, {1024 + 0xec, 16, false}},
	"xfs":   {{32, 16, true}},
	"btrfs": {{64<<10 + 32, 16, true}, {64<<10 + 267, 16, true}}, // of the filesystem and the device
	"f2fs":  {{1024 + 108, 16, false}},
	"swap":  {{1036, 16, false}},
	"ntfs":  {{72, 8, false}},
	// These are short enough to be anywhere by chance. Small FATs are meant.
	"exfat": {{100, 4, true}},
	"fat":   {{39, 4, true}},
	"vfat":  {{39, 4, true}},
	"msdos": {{39, 4, true}},
}

// identities are those that must be nowhere any more.
func identities(t *testing.T, f *os.File, fsType string) (found [][]byte) {
	t.Helper()
	for _, at := range onDisk[fsType] {
		if !at.kept {
			found = append(found, read(t, f, at.off, at.length))
		}
	}
	return found
}

func read(t testing.TB, f *os.File, off int64, n int) []byte {
	t.Helper()
	p := make([]byte, n)
	if _, err := f.ReadAt(p, off); err != nil {
		t.Fatal(err)
	}
	return p
}

// wantNowhere looks at all that is not a hole.
func wantNowhere(t *testing.T, f *os.File, identities [][]byte) {
	t.Helper()
	for off := int64(0); len(identities) > 0; {
		start := nextData(t, f, off)
		if start == math.MaxInt64 {
			return
		}
		var err error
		if off, err = unix.Seek(int(f.Fd()), start, unix.SEEK_HOLE); err != nil {
			t.Fatal(err)
		}
		data := read(t, f, start, int(off-start))
		for _, identity := range identities {
			if at := bytes.Index(data, identity); at >= 0 {
				t.Errorf("got the mold's %x at %d, want it nowhere", identity, start+int64(at))
			}
		}
	}
}

// nextData is where f's first byte from off on is that is in no hole.
func nextData(t *testing.T, f *os.File, off int64) int64 {
	t.Helper()
	start, err := unix.Seek(int(f.Fd()), off, unix.SEEK_DATA)
	if err == unix.ENXIO {
		return math.MaxInt64
	}
	if err != nil {
		t.Fatal(err)
	}
	return start
}

// An independent reader finds a backup superblock right, checksum included.
func TestExtBackupByDumpe2fs(t *testing.T) {
	f := kit.New(t, kit.Case{Type: "ext4", Size: kit.GiB})
	id := kit.ID(1)
	kit.Apply(t, f, kit.GiB, kit.Understood(t, "ext4", kit.GiB, f).Patches(id))
	for _, block := range []string{"32768", "98304", "163840", "229376"} {
		out, err := kit.Run(t, "dumpe2fs", "-h", "-o", "superblock="+block, "-o", "blocksize=4096", f.Name())
		if err != nil || !strings.Contains(out, shown("ext4", id)) || strings.Contains(out, "hecksum error") {
			t.Errorf("superblock at %s: got %v: %s", block, err, out)
		}
	}
}
