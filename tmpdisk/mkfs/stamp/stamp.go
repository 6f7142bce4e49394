// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package stamp

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/btrfs"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/dos"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/ext"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/ondisk"
	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/xfs"
)

// ErrNotUnderstood is wrapped by the error of New when the filesystem has
// something that stamping does not know. Nothing is wrong with the disk then.
var ErrNotUnderstood = ondisk.ErrNotUnderstood

// An ID is 128 random bits, from which every identity on a disk is made.
type ID = ondisk.ID

// A Patch replaces the bytes from offset Off on, in bytes.
type Patch struct {
	Off  int64
	Data []byte
}

// A Stamp knows where one mold's identity stands.
type Stamp struct {
	regions []ondisk.Region
	places  []place // ascending
}

// A place is where a region, or a copy of it, is on the disk.
type place struct {
	off    int64
	region int // its index
}

var finders = map[string]func(ondisk.Image) []ondisk.Region{
	"ext2":  ext.Find,
	"ext3":  ext.Find,
	"ext4":  ext.Find,
	"xfs":   xfs.Find,
	"btrfs": btrfs.Find,
	"vfat":  dos.FindFAT,
	"fat":   dos.FindFAT,
	"msdos": dos.FindFAT,
	"exfat": dos.FindExFAT,
	"ntfs":  dos.FindNTFS,
	"f2fs":  findF2FS,
	"minix": findMinix,
	"swap":  findSwap,
}

// New looks at a fresh filesystem of the built-in type fsType on a disk of size
// bytes. It returns an error that wraps ErrNotUnderstood for anything it is not
// sure of.
func New(fsType string, size int64, image io.ReaderAt) (*Stamp, error) {
	s := &Stamp{}
	if err := ondisk.Try(func() { s.find(fsType, ondisk.Image{ReaderAt: image, Size: size}) }); err != nil {
		return nil, fmt.Errorf("stamp: %s: %w", fsType, err)
	}
	return s, nil
}

func (s *Stamp) find(fsType string, image ondisk.Image) {
	find, ok := finders[fsType]
	ondisk.Want(ok, "no built-in type")
	s.regions = find(image)
	for i, r := range s.regions {
		check(r, image)
		for _, off := range r.Offsets {
			s.places = append(s.places, place{off, i})
		}
	}
	slices.SortFunc(s.places, func(a, b place) int { return cmp.Compare(a.off, b.off) })
	end := int64(0)
	for _, p := range s.places {
		ondisk.Want(p.off >= end, "two things at %d", p.off)
		end = p.off + int64(len(s.regions[p.region].Data))
	}
}

// check wants r to be on the disk, with all its copies and the right checksum.
func check(r ondisk.Region, image ondisk.Image) {
	if r.Sum != nil {
		summed := slices.Clone(r.Data)
		r.Sum(summed)
		ondisk.Want(bytes.Equal(summed, r.Data), "wrong checksum at %d", r.Offsets[0])
	}
	for _, off := range r.Offsets {
		got := image.Bytes(off, len(r.Data))
		ondisk.Want(bytes.Equal(got, r.Data), "unexpected bytes at %d", off)
	}
}

// Patches returns what is to be written over a copy of the mold to make id its
// identity, in ascending order and without overlaps. The bytes are the caller's,
// but several patches may share them.
func (s *Stamp) Patches(id ID) []Patch {
	data := make([][]byte, len(s.regions))
	for i, r := range s.regions {
		data[i] = r.With(id)
	}
	patches := make([]Patch, len(s.places))
	for i, p := range s.places {
		patches[i] = Patch{p.off, data[p.region]}
	}
	return patches
}
