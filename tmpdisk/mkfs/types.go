// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"fmt"
	"maps"
	"slices"
)

// Default is the type of a disk if none is asked for.
const Default = "ext4"

// A filesystem says how to make one type on a fresh file, which is one hole and which
// nobody else uses before mkfs has ended. So mkfs need not ask whether to go on, look
// for an old filesystem, discard, or write zeroes.
type filesystem struct {
	program string
	debian  string // package that has program
	options func(size int64) string
	label   labelRule
}

// labelRule is how long a label may be. Some programs cut a longer one with
// no more than a warning, others answer with a page of usage: so the length
// is checked before the server starts.
type labelRule struct {
	option string // "" if the type has no labels
	max    int    // 0 is unknown
	utf16  bool   // max counts UTF-16 units, and the label must be UTF-8
	ascii  bool   // other characters fail, or depend on the code page
}

func always(options string) func(int64) string {
	return func(int64) string { return options }
}

// ext trusts the file to be zeroes, which needs e2fsprogs 1.47: inode tables are
// marked as zeroed already, so the client's kernel does not write them all once
// more in the background, which would take 256 MiB of the server's disk for each
// 16 GiB client. features are what the program must make, with the option for it,
// or "".
func ext(program, features string) filesystem {
	return filesystem{
		program: program, debian: "e2fsprogs",
		options: func(size int64) string { return "-q -F " + features + extOptions(size) },
		label:   labelRule{option: "-L", max: 16},
	}
}

// ext4Features keep the UUID out of all checksums but the superblock's, so
// that it can be changed by itself (Linux 4.4). Both are named,
// because the second fails where mke2fs.conf does not have the first. The
// program makes ext2 and ext3 without checksums.
const ext4Features = "-O metadata_csum,metadata_csum_seed "

// extOptions leaves room to grow online for eight times the size (twice, with
// blocks of 1 KiB), not mke2fs's thousand times: that room is 4 MiB, written
// block by block, in which a 16 GiB mkfs spends half its CPU time. From 512 MiB
// on, where blocks are 4 KiB; less than 16 GiB of room would mean the default.
func extOptions(size int64) string {
	options := "-E nodiscard,assume_storage_prezeroed=1"
	if size >= 512<<20 {
		options += fmt.Sprintf(",resize=%d", max(size/4096*8, 1<<22))
	}
	return options
}

var fat = filesystem{
	program: "mkfs.fat", debian: "dosfstools",
	options: always(""),
	label:   labelRule{option: "-n", max: 11, ascii: true},
}

var filesystems = map[string]filesystem{
	"ext2": ext("mkfs.ext2", ""),
	"ext3": ext("mkfs.ext3", ""),
	"ext4": ext("mkfs.ext4", ext4Features),
	"xfs": {
		program: "mkfs.xfs", debian: "xfsprogs",
		options: always("-q -f -K"), // -K: no discard
		label:   labelRule{option: "-L", max: 12},
	},
	"vfat":  fat,
	"fat":   fat,
	"msdos": fat,
	"ntfs": {
		program: "mkfs.ntfs", debian: "ntfs-3g",
		// -Q: neither write the whole file nor look for bad sectors.
		options: always("-q -F -Q"),
		label:   labelRule{option: "-L", max: 128, utf16: true},
	},
	"btrfs": {
		program: "mkfs.btrfs", debian: "btrfs-progs",
		options: btrfsOptions,
		label:   labelRule{option: "-L", max: 255},
	},
	"exfat": {
		program: "mkfs.exfat", debian: "exfatprogs",
		options: exfatOptions,
		label:   labelRule{option: "-L", max: 11, utf16: true},
	},
	"f2fs": {
		program: "mkfs.f2fs", debian: "f2fs-tools",
		// -t 0: no discard. Not -q, which hides errors too.
		options: always("-f -t 0"),
		label:   labelRule{option: "-l", max: 512, utf16: true},
	},
	"minix": {
		program: "mkfs.minix", debian: "util-linux",
		options: minixOptions,
	},
	"swap": {
		program: "mkswap", debian: "util-linux",
		options: always(""),
		// The header has 16 bytes, of which mkswap keeps the last for a NUL.
		label: labelRule{option: "-L", max: 15},
	},
}

// btrfsOptions mixes data and metadata in one kind of block group where the
// disk has no room for one of each (mkfs.btrfs 6.2 wants 109 MiB for that).
func btrfsOptions(size int64) string {
	if size < 128<<20 {
		return "-q -f -K --mixed"
	}
	return "-q -f -K" // -K: no discard
}

// exfatOptions aligns to less than the program's 1 MiB where that leaves no
// room for files.
func exfatOptions(size int64) string {
	if size < 4<<20 {
		return "-b 64K"
	}
	return ""
}

// minixOptions takes version 3 where version 1, the program's default, would
// use the first 64 MiB only. The inodes are bounded because their table must
// end before block 65536, which the program's own number misses from 16 GiB.
func minixOptions(size int64) string {
	if size > 64<<20 {
		return "-3 -i 65535"
	}
	return ""
}

// Names are those of the built-in types, sorted.
func Names() []string { return slices.Sorted(maps.Keys(filesystems)) }

// filesystemOf gives type's entry, or for any other type plain mkfs.TYPE,
// with the label option that most of them have.
func filesystemOf(fsType string) filesystem {
	if fs, ok := filesystems[fsType]; ok {
		return fs
	}
	return filesystem{
		program: "mkfs." + fsType,
		options: always(""),
		label:   labelRule{option: "-L"},
	}
}
