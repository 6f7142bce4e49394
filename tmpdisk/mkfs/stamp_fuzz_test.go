// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"
)

func FuzzExt(f *testing.F) {
	at := func(field uint) uint { return extSuperLength + field }
	fuzzStamp(f, "ext4", 4*mib, func(image byteImage) {
		super := image[extSuperLength:]
		binary.LittleEndian.PutUint32(super[extChecksum:], extSum(super))
	}, at(extInodes), at(extBlocks), at(extFirstBlock), at(extBlockSize), at(extGroupBlocks), at(extCompat),
		at(extIncompat), at(extROCompat), at(extJournalInode), at(extJournalBlocks), at(extJournalBlocks+12))
}

func FuzzSwap(f *testing.F) {
	fuzzStamp(f, "swap", 64*kib, nil, swapVersion, swapLastPage, swapPadding, 4096-10)
}

func FuzzFat(f *testing.F) {
	fuzzStamp(f, "vfat", mib, nil, 0, fatSectorSize, fatRootEntries, fatLength16, fat32Version, fat32Backup,
		fatExtended+fatTypeName, fat32Extended+fatTypeName, bootSectorEnd)
}

// Both regions get the right checksum, where the sectors are of 512 bytes.
func FuzzExfat(f *testing.F) {
	const region = exfatRegion * bootSectorLength
	s := exfatStamp{sector: bootSectorLength}
	fuzzStamp(f, "exfat", mib, func(image byteImage) {
		copy(image[region-s.sector:], s.checksumSector(image[:region-s.sector]))
		copy(image[region:], image[:region])
	}, exfatName, exfatLength, exfatHeap, exfatRoot, exfatSectorShift, exfatClusterShift)
}

// The backup boot sector is made equal to the first.
func FuzzNtfs(f *testing.F) {
	const volume = 4*4096 + 3*1024
	fuzzStamp(f, "ntfs", 2*mib, func(image byteImage) {
		copy(image[2*mib-bootSectorLength:], image[:bootSectorLength])
	}, ntfsSectorSize, ntfsSectors, ntfsMFT, ntfsRecord, volume, volume+20, volume+56, volume+510)
}

func FuzzMinix(f *testing.F) { fuzzStamp(f, "minix", 64*kib, nil, 1024+16, 1024+24) }

// fuzzStamp fuzzes two places of a mold, beginning with the fields given, and
// the disk's size. mend makes checksums right, without which only they would be
// tried. What is understood must be so with another identity too, and no trace
// of the first be left.
func fuzzStamp(f *testing.F, fsType string, size int64, mend func(byteImage), fields ...uint) {
	mold := wholeImage(f, newMold(f, moldCase{fsType: fsType, size: size}))
	for i, field := range fields {
		next := fields[(i+1)%len(fields)]
		f.Add(field, mold[field:][:8], next, mold[next:][:8], size)
	}
	f.Fuzz(func(t *testing.T, off1 uint, edit1 []byte, off2 uint, edit2 []byte, size int64) {
		image := byteImage(slices.Clone(mold))
		copy(image[min(off1, uint(len(image))):], edit1)
		copy(image[min(off2, uint(len(image))):], edit2)
		if mend != nil {
			mend(image)
		}
		size = min(size, int64(len(image)))
		s, err := NewStamp(fsType, size, image)
		if err != nil {
			if !errors.Is(err, ErrNotUnderstood) {
				t.Fatalf("got %v, want ErrNotUnderstood", err)
			}
			return
		}
		mustApply(t, image, size, s.Patches(idOf(1)))
		again := mustStamp(t, fsType, size, image)
		got, want := fmt.Sprint(again.Patches(idOf(2))), fmt.Sprint(s.Patches(idOf(2)))
		if got != want {
			t.Errorf("a second identity is written otherwise than over the mold")
		}
	})
}
