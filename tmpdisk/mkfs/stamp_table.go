// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

var stamps = map[string]newStampFunc{
	"xfs":   newXFSStamp,
	"btrfs": newBtrfsStamp,
	"f2fs":  newF2FSStamp,
}
