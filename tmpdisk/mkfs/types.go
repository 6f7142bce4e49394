// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Default is the type of a disk if none is asked for.
const Default = "ext4"

// A filesystem says how to make one type on a fresh file, which is one hole and which
// nobody else uses before mkfs has ended. So mkfs need not ask whether to go on, look
// for an old filesystem, discard, or write zeroes.
type filesystem struct {
	program string
	debian  string              // package that has program
	options func(s Spec) string // our own, as shell text
	label   labelRule
	// identity is the option that gives the disk a UUID or serial number, if it has one
	// letter.
	identity string
	// lists are the options in which options has what s.Options say with them.
	lists []string
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

func always(options string) func(Spec) string {
	return func(Spec) string { return options }
}

// sectors are options, and option for the size of the client's sectors if that is known.
func sectors(options, option string) func(Spec) string {
	return func(s Spec) string {
		if s.Sector == 0 {
			return options
		}
		return strings.TrimSpace(options + " " + option + strconv.Itoa(s.Sector))
	}
}

var fat = filesystem{
	program: "mkfs.fat", debian: "dosfstools",
	options: sectors("", "-S "),
	label:   labelRule{option: "-n", max: 11, ascii: true}, identity: "-i",
}

var filesystems = map[string]filesystem{
	"ext2": ext("mkfs.ext2"),
	"ext3": ext("mkfs.ext3"),
	"ext4": ext("mkfs.ext4", ext4Features...),
	"xfs": {
		program: "mkfs.xfs", debian: "xfsprogs",
		options: sectors("-q -f -K", "-s size="), // -K: no discard
		label:   labelRule{option: "-L", max: 12},
	},
	"vfat":  fat,
	"fat":   fat,
	"msdos": fat,
	"ntfs": {
		program: "mkfs.ntfs", debian: "ntfs-3g",
		// -Q: neither write the whole file nor look for bad sectors.
		options: sectors("-q -F -Q", "-s "),
		// -U is a GUID besides, with which mkfs would have to run for each disk: but it gives
		// one serial number to all that are made in a second.
		label: labelRule{option: "-L", max: 128, utf16: true}, identity: "-U",
	},
	"btrfs": {
		program: "mkfs.btrfs", debian: "btrfs-progs",
		options: btrfsOptions,
		label:   labelRule{option: "-L", max: 255}, identity: "-U",
	},
	"exfat": {
		program: "mkfs.exfat", debian: "exfatprogs",
		options: exfatOptions,
		label:   labelRule{option: "-L", max: 11, utf16: true}, identity: "-U",
	},
	"f2fs": {
		program: "mkfs.f2fs", debian: "f2fs-tools",
		// -t 0: no discard. Not -q, which hides errors too.
		options: always("-f -t 0"),
		label:   labelRule{option: "-l", max: 512, utf16: true}, identity: "-U",
	},
	"minix": {
		program: "mkfs.minix", debian: "util-linux",
		options: minixOptions,
	},
	"swap": {
		program: "mkswap", debian: "util-linux",
		options: always(""),
		// The header has 16 bytes, of which mkswap keeps the last for a NUL.
		label: labelRule{option: "-L", max: 15}, identity: "-U",
	},
}

// btrfsOptions mixes data and metadata in one kind of block group where the
// disk has no room for one of each (mkfs.btrfs 6.2 wants 109 MiB for that).
func btrfsOptions(s Spec) string {
	if s.Size < 128<<20 {
		return "-q -f -K --mixed"
	}
	return "-q -f -K" // -K: no discard
}

// exfatOptions aligns to less than the program's 1 MiB where that leaves no
// room for files. Before exfatprogs 1.2.3 there are no other sectors than of 512 bytes,
// and no option for them.
func exfatOptions(s Spec) string {
	options := sectors("", "-s ")
	if s.Sector <= 512 {
		options = always("")
	}
	if s.Size < 4<<20 {
		return strings.TrimSpace("-b 64K " + options(s))
	}
	return options(s)
}

// minixOptions takes version 3 where version 1, the program's default, would
// use the first 64 MiB only. The inodes are bounded because their table must
// end before block 65536, which the program's own number misses from 16 GiB.
func minixOptions(s Spec) string {
	if s.Size > 64<<20 {
		return "-3 -i 65535"
	}
	return ""
}

// left is what options leaves of the options that are asked for.
func (fs filesystem) left(options []string) []string {
	for _, list := range fs.lists {
		_, options = cutList(options, list)
	}
	return options
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
