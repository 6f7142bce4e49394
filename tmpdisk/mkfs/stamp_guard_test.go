// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What mkfs can make, but stamping does not understand.
func TestNotUnderstoodFormats(t *testing.T) {
	cases := []struct {
		name, fsType string
		size         int64
		args, want   string
	}{
		{"checksums from the UUID", "ext4", gib, "mkfs.ext4 -q -F -O metadata_csum", "metadata_csum_seed"},
		{"group checksums", "ext4", gib, "mkfs.ext4 -q -F -O ^metadata_csum,uninit_bg", "features 0x10:"},
		{"mmp", "ext4", gib, "mkfs.ext4 -q -F -O mmp," + moldFeatures, "features 0x100:"},
		{"stable inodes", "ext4", gib, "mkfs.ext4 -q -F -O stable_inodes," + moldFeatures, "features 0x800:"},
		{"other backups", "ext4", gib, "mkfs.ext4 -q -F -O sparse_super2," + moldFeatures, "features 0x200:"},
		{"clusters", "ext4", gib, "mkfs.ext4 -q -F -O bigalloc," + moldFeatures, "features 0x200:"},
		{"encryption", "ext4", gib, "mkfs.ext4 -q -F -O encrypt," + moldFeatures, "features 0x10000:"},
		{"quota", "ext4", gib, "mkfs.ext4 -q -F -O quota," + moldFeatures, "features 0x100:"},
		{"fast commits", "ext4", gib, "mkfs.ext4 -q -F -O fast_commit," + moldFeatures, "features 0x400:"},
		{"a journal", "ext4", gib, "mke2fs -q -F -O journal_dev", "features 0x8:"},
		{"many backups", "ext2", 16 * gib, "mkfs.ext2 -q -F -g 1024 -O ^sparse_super,^resize_inode", "4096 superblocks"},
		{"revision 0", "ext2", gib, "mkfs.ext2 -q -F -r 0", "revision 0"},
		{"object ID", "ntfs", 64 * mib, "mkfs.ntfs -q -F -Q -U", "attribute 0x40"},
		{"another type", "ext4", 64 * mib, "mkswap", "no magic number"},
		{"another type", "swap", 64 * mib, "mkfs.ext4 -q -F", "no signature"},
		{"another type", "vfat", 64 * mib, "mkfs.exfat", "sectors of 0 bytes"},
		{"another type", "exfat", 64 * mib, "mkfs.fat", "not a boot sector"},
		{"another type", "ntfs", 64 * mib, "mkfs.fat", "not a boot sector"},
		{"another type", "minix", 64 * mib, "mkswap", "no magic number"},
		{"unknown type", "nosuch", 64 * mib, "mkswap", "nosuch"},
	}
	for _, c := range cases {
		t.Run(c.fsType+" "+c.name, func(t *testing.T) {
			f := newMold(t, moldCase{fsType: c.fsType, size: c.size, args: strings.Fields(c.args)})
			_, err := NewStamp(c.fsType, c.size, f)
			wantNotUnderstood(t, err, c.want)
		})
	}
}

func wantNotUnderstood(t *testing.T, err error, want string) {
	t.Helper()
	if !errors.Is(err, ErrNotUnderstood) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want ErrNotUnderstood and %q", err, want)
	}
}

// A directory with files may be hashed, with the seed that would be replaced.
func TestFilesAreNotUnderstood(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f := newMold(t, moldCase{fsType: "ext4", size: 64 * mib}, "-d", dir)
	_, err := NewStamp("ext4", 64*mib, f)
	wantNotUnderstood(t, err, "12 inodes in use, 11 if it were fresh")
}

// One thing is changed in a good mold.
func TestGuard(t *testing.T) {
	const (
		super   = extSuperLength
		backup  = 8193 * 1024 // 32 MiB have blocks of 1 KiB
		journal = "\xc0\x3b\x39\x98\x00\x00\x00\x04"
		volume  = "FILE0\x00\x03\x00" // found by its number in the MFT
	)
	cases := []struct {
		name, fsType string
		change       func(image []byte)
		want         string
	}{
		{"magic", "ext4", put(super+extMagic, 0), "no magic number"},
		{"checksum", "ext4", put(super+extUUID, 0, 0, 0, 0), "wrong checksum"},
		{"not clean", "ext4", put(super+extState, 2), "state 0x2"},
		{"checksum type", "ext4", put(super+extChecksumType, 2), "checksums of type 2"},
		{"in use", "ext4", signed(extOrphan, 12), "first orphan 12"},
		{"block size", "ext4", signed(extBlockSize, 7), "1 KiB << 7"},
		{"blocks", "ext4", signed(extBlocks, 0, 0, 1), "65536 blocks"},
		{"no blocks", "ext4", signed(extBlocks, 0, 0), "0 blocks"},
		{"group size", "ext4", signed(extGroupBlocks, 0, 0), "groups of 0 blocks"},
		{"first block", "ext4", signed(extFirstBlock, 0), "from block 0 on"},
		{"journal elsewhere", "ext4", signed(extJournalInode, 9), "journal in inode 9"},
		{"journal's extents", "ext4", signed(extJournalBlocks, 0), "not a tree of extents"},
		{"journal's extents elsewhere", "ext4", signed(extJournalBlocks+6, 1), "block 70"},
		{"journal out of bounds", "ext4", signed(extJournalBlocks+18, 1), "block 4294"},
		{"journal is none", "ext4", signed(extJournalBlocks+20, 30), "not a journal"},
		{"journal in use", "ext4", after(journal, journalStart, 1), "in use or with features"},
		{"journal has features", "ext4", after(journal, journalFlags+7, 0x10), "in use or with features"},
		{"journal's UUID", "ext4", after(journal, journalUUID, 0, 0, 0, 0), "journal of another"},
		{"no backup", "ext4", put(backup+extMagic, 0), "wrong checksum of a superblock"},
		{"backup's checksum", "ext4", put(backup+extUUID, 0, 0, 0, 0), "wrong checksum of a superblock"},
		{"backup elsewhere", "ext3", put(backup+extGroup, 3), "superblock of group 1 says it is that of 3"},
		{"backup's UUID", "ext3", put(backup+extUUID, 0, 0, 0, 0), "superblock of group 1 differs"},
		{"backup's features", "ext3", put(backup+extCompat+1, 1), "superblock of group 1 differs"},
		{"version", "swap", put(swapVersion, 2), "version 2"},
		{"last page", "swap", put(swapLastPage+3, 1), "last page"},
		{"bad pages", "swap", put(swapBadPages, 1), "1 bad pages"},
		{"padding", "swap", put(swapPadding, 1), "after the label"},
		{"end of sector", "vfat", put(bootSectorEnd, 0), "not a boot sector"},
		{"sector size", "vfat", put(fatSectorSize, 1), "sectors of"},
		{"cluster size", "vfat", put(fatCluster, 3), "clusters of 3"},
		{"number of FATs", "vfat", put(fatCopies, 3), "3 FATs"},
		{"no root directory", "vfat", put(fatRootEntries, 0, 0), "neither FAT16 nor FAT32"},
		{"more than the disk", "vfat", both(put(fatSectors16, 0, 0), put(fatSectors32+2, 2)), "131072 sectors"},
		{"type", "vfat", put(fatExtended+fatTypeName, 'X'), "XAT16"},
		{"extended part", "vfat", put(fatExtended+fatExtendedSign, 0x28), "FAT16"},
		{"FAT32 type", "fat32", put(fat32Extended+fatTypeName, 'X'), "XAT32"},
		{"FAT32 version", "fat32", put(fat32Version, 1), "version 1"},
		{"no backup", "fat32", put(fat32Backup, 0), "backup boot sector 0"},
		{"backup", "fat32", put(6*512+fat32Extended+fatSerial, 0, 0, 0, 0), "backup boot sector differs"},
		{"name", "exfat", put(exfatName, 'X'), "not a boot sector"},
		{"part of FAT", "exfat", put(exfatZero, 1), "something of FAT"},
		{"revision", "exfat", put(exfatRevision, 1), "revision 0x101"},
		{"flags", "exfat", put(exfatFlags, 2), "flags 0x2"},
		{"sector size", "exfat", put(exfatSectorShift, 13), "2^13 bytes"},
		{"cluster size", "exfat", put(exfatClusterShift, 17), "2^17 sectors"},
		{"length", "exfat", put(exfatLength+4, 1), "sectors"},
		{"serial", "exfat", put(exfatSerial, 0, 0, 0, 0), "backup boot region differs"},
		{"both serials", "exfat", both(put(exfatSerial, 0, 0, 0, 0), put(12*512+exfatSerial, 0, 0, 0, 0)), "wrong boot checksum"},
		{"boot code", "exfat", both(put(1000, 1), put(12*512+1000, 1)), "wrong boot checksum"},
		{"checksum", "exfat", both(put(12*512-4, 1, 1, 1, 1), put(24*512-4, 1, 1, 1, 1)), "wrong boot checksum"},
		{"GUID", "exfat", after("\x82\x00\x00\x00", 32, 0xa0), "directory entry of type 0xa0"},
		{"name", "ntfs", put(ntfsName, 'X'), "not a boot sector"},
		{"checksum", "ntfs", put(ntfsChecksum, 1), "checksum 0x1"},
		{"sector size", "ntfs", put(ntfsSectorSize, 1), "sectors of 513"},
		{"length", "ntfs", put(ntfsSectors+4, 1), "sectors"},
		{"serial", "ntfs", put(ntfsSerial, 0, 0, 0, 0), "backup boot sector differs"},
		{"not written as a whole", "ntfs", after(volume, 510, 0xff, 0xff), "not written as a whole"},
		{"not a record", "ntfs", after(volume, 0, 'X'), "not a record"},
		{"attribute's length", "ntfs", after(volume, 56+4, 0), "attribute 0x10 of 0 bytes"},
		{"another version", "ntfs", after("\x03\x01\x00\x00\x00\x00\x00\x00\x80\x00\x00\x00", 1, 2), "version or flags"},
		{"magic", "minix", put(1024+16, 0), "no magic number"},
	}
	for _, c := range cases {
		t.Run(c.fsType+" "+c.name, func(t *testing.T) {
			fsType, size := c.fsType, 32*mib
			args := moldArgs(fsType, size)
			if fsType == "fat32" {
				fsType, args = "vfat", []string{"mkfs.fat", "-F", "32", "-s", "1"}
			}
			image := byteImage(wholeImage(t, newMold(t, moldCase{fsType: fsType, size: size, args: args})))
			mustStamp(t, fsType, size, image)
			c.change(image)
			_, err := NewStamp(fsType, size, image)
			wantNotUnderstood(t, err, c.want)
		})
	}
}

// put writes over the bytes at off.
func put(off int, bytes ...byte) func([]byte) {
	return func(image []byte) { copy(image[off:], bytes) }
}

func both(a, b func([]byte)) func([]byte) {
	return func(image []byte) { a(image); b(image) }
}

// after writes over the bytes off from the first place where image has mark.
// The records of the MFT are equal that far: the fourth of them is $Volume.
func after(mark string, off int, bytes ...byte) func([]byte) {
	return func(image []byte) {
		at := strings.Index(string(image), mark)
		if strings.HasPrefix(mark, "FILE") {
			at += 3 * 1024
		}
		copy(image[at+off:], bytes)
	}
}

// signed changes all of ext4's superblocks, with right checksums.
func signed(off int, bytes ...byte) func([]byte) {
	return func(image []byte) {
		for _, block := range []int{1, 8193, 24577} {
			super := image[block*1024:][:extSuperLength]
			copy(super[off:], bytes)
			binary.LittleEndian.PutUint32(super[extChecksum:], extSum(super))
		}
	}
}

// A disk that ends too early is no reason to read beyond its end.
func TestTruncated(t *testing.T) {
	for fsType := range stamps {
		t.Run(fsType, func(t *testing.T) {
			f := newMold(t, moldCase{fsType: fsType, size: 8 * mib})
			for _, size := range []int64{0, 1, 511, 512, 4096, 64 * kib, 4 * mib} {
				if fsType == "minix" && size > 1024 {
					continue // only its magic number is looked at
				}
				_, err := NewStamp(fsType, size, f)
				wantNotUnderstood(t, err, "")
			}
		})
	}
}

// An error of the image's is not taken for something unknown.
func TestReadError(t *testing.T) {
	for fsType := range stamps {
		f := newImage(t, 0)
		if _, err := NewStamp(fsType, mib, f); err == nil || errors.Is(err, ErrNotUnderstood) {
			t.Errorf("%s: got %v, want the reader's error", fsType, err)
		}
	}
}
