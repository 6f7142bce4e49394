// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"nbdkit-tmpdisk-plugin/shellquote"
)

// ext trusts the file to be zeroes, which needs e2fsprogs 1.47: inode tables are
// marked as zeroed already, so the client's kernel does not write them all once
// more in the background, which would take 256 MiB of the server's disk for each
// 16 GiB client. features are what the program must make.
//
// mke2fs takes the last -O and the last -E alone, and of what is in it the last.
// So there is one of each, in which ours come first.
func ext(program string, features ...string) filesystem {
	return filesystem{
		program: program, debian: "e2fsprogs",
		options: func(s Spec) string {
			wanted, rest := cutList(s.Options, "-O")
			extended, _ := cutList(rest, "-E")
			options := "-q -F" + extBlocks(s)
			if all := extFeatures(features, wanted); len(all) > 0 {
				options += " -O " + quoteList(all)
			}
			return options + " -E " + quoteList(append(extExtended(s.Size, wanted), extended...))
		},
		lists: []string{"-O", "-E"},
		label: labelRule{option: "-L", max: 16}, identity: "-U",
	}
}

// ext4Features keep the UUID out of all checksums but the superblock's, so
// that it can be changed by itself (Linux 4.4). Both are named,
// because the second fails where mke2fs.conf does not have the first. The
// program makes ext2 and ext3 without checksums.
var ext4Features = []string{"metadata_csum", "metadata_csum_seed"}

// extFeatures are ours, and wanted: the seed cannot be without the checksums.
func extFeatures(ours, wanted []string) []string {
	all := slices.Concat(ours, wanted)
	if slices.Contains(wanted, "^metadata_csum") {
		all = append(all, "^metadata_csum_seed")
	}
	return all
}

// extBlocks keeps blocks from being smaller than the client's sectors. mke2fs makes
// them of 1 KiB below 512 MiB, and else of 4 KiB.
func extBlocks(s Spec) string {
	if s.Sector <= 1024 || s.Size >= large {
		return ""
	}
	return " -b " + strconv.Itoa(s.Sector)
}

const large = 512 << 20 // bytes

// extExtended leaves room to grow online for eight times the size (twice, with
// blocks of 1 KiB), not mke2fs's thousand times: that room is 4 MiB, written
// block by block, in which a 16 GiB mkfs spends half its CPU time. From 512 MiB
// on, where blocks are 4 KiB; less than 16 GiB of room would mean the default.
// With it mke2fs makes a resize_inode, even if wanted says none.
func extExtended(size int64, wanted []string) []string {
	options := []string{"nodiscard", "assume_storage_prezeroed=1"}
	if size >= large && !slices.Contains(wanted, "^resize_inode") {
		options = append(options, fmt.Sprintf("resize=%d", max(size/4096*8, 1<<22)))
	}
	return options
}

// cutList returns what words have in the values of option, lists with commas, and the
// other words.
func cutList(words []string, option string) (list, rest []string) {
	for i := 0; i < len(words); i++ {
		value, found := strings.CutPrefix(words[i], option)
		switch {
		case !found || value == "" && i+1 == len(words):
			rest = append(rest, words[i])
			continue
		case value == "":
			i++
			value = words[i]
		}
		list = append(list, strings.Split(value, ",")...)
	}
	return list, rest
}

// quoteList is one word of a shell script.
func quoteList(list []string) string {
	word := strings.Join(list, ",")
	if strings.Trim(word, "abcdefghijklmnopqrstuvwxyz0123456789_=,") == "" {
		return word
	}
	return shellquote.Quote(word)
}
