// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

var stamps = map[string]newStampFunc{
	"xfs":   newXFSStamp,
	"btrfs": newBtrfsStamp,
	"f2fs":  newF2FSStamp,
	"ext2":  newExtStamp,
	"ext3":  newExtStamp,
	"ext4":  newExtStamp,
	"vfat":  newFatStamp,
	"fat":   newFatStamp,
	"msdos": newFatStamp,
	"exfat": newExfatStamp,
	"ntfs":  newNtfsStamp,
	"minix": newMinixStamp,
	"swap":  newSwapStamp,
}
