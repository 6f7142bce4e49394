// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"slices"
)

// Offsets in the superblock, which is little-endian, as all of ext2, ext3 and
// ext4 but the journal.
const (
	extInodes        = 0x00
	extBlocks        = 0x04
	extFreeInodes    = 0x10
	extFirstBlock    = 0x14 // where group 0 begins
	extBlockSize     = 0x18 // 1 KiB shifted by this
	extGroupBlocks   = 0x20 // blocks in a group
	extMagic         = 0x38
	extState         = 0x3a
	extRevision      = 0x4c
	extFirstInode    = 0x54
	extGroup         = 0x5a // the group that this copy stands in
	extCompat        = 0x5c
	extIncompat      = 0x60
	extROCompat      = 0x64
	extUUID          = 0x68
	extJournalInode  = 0xe0
	extJournalDevice = 0xe4
	extOrphan        = 0xe8 // first inode in the list of orphans
	extHashSeed      = 0xec
	extJournalBackup = 0xfd
	extJournalBlocks = 0x10c // the journal's block map
	extBlocksHigh    = 0x150
	extChecksumType  = 0x175
	extChecksum      = 0x3fc
	extSuperLength   = 1024
)

// extStamp has every copy of the superblock, and the journal's UUID as the
// empty bytes that it is to be written over.
type extStamp struct {
	places   []Patch // ascending
	checksum bool
}

func newExtStamp(size int64, image io.ReaderAt) (Stamp, error) {
	super, err := readWithin(image, size, extSuperLength, extSuperLength)
	if err != nil {
		return nil, err
	}
	if err := checkExtSuper(super); err != nil {
		return nil, err
	}
	layout, err := newExtLayout(super, size)
	if err != nil {
		return nil, err
	}
	s := &extStamp{
		places:   []Patch{{extSuperLength, super}},
		checksum: extHas(super, extROCompat, extMetadataCsum),
	}
	for _, group := range layout.backups() {
		off := layout.groupOffset(group)
		backup, err := readWithin(image, size, off, extSuperLength)
		if err != nil {
			return nil, err
		}
		if err := checkExtBackup(backup, super, group); err != nil {
			return nil, err
		}
		s.places = append(s.places, Patch{off, backup})
	}
	off, err := layout.journalUUID(super, image)
	if err != nil {
		return nil, err
	}
	if off == 0 {
		return s, nil
	}
	at, found := slices.BinarySearchFunc(s.places, off-journalUUID, func(p Patch, off int64) int {
		return cmp.Compare(p.Off, off)
	})
	if found {
		return nil, unsure("journal where a superblock is")
	}
	s.places = slices.Insert(s.places, at, Patch{off, make([]byte, len(ID{}))})
	return s, nil
}

// checkExtSuper wants a clean filesystem without files of any user: a hashed
// directory would depend on the hash seed.
func checkExtSuper(super []byte) error {
	order := binary.LittleEndian
	if order.Uint16(super[extMagic:]) != 0xef53 {
		return unsure("no magic number")
	}
	if r, state := order.Uint32(super[extRevision:]), order.Uint16(super[extState:]); r != 1 || state != 1 {
		return unsure("revision %d, state %#x", r, state)
	}
	if err := checkExtFeatures(super); err != nil {
		return err
	}
	if err := checkExtChecksum(super); err != nil {
		return err
	}
	// Besides the reserved inodes there are lost+found and the orphan file.
	fresh := order.Uint32(super[extFirstInode:])
	if extHas(super, extCompat, extOrphanFile) {
		fresh++
	}
	used := order.Uint32(super[extInodes:]) - order.Uint32(super[extFreeInodes:])
	if orphan := order.Uint32(super[extOrphan:]); used != fresh || orphan != 0 {
		return unsure("%d inodes in use, %d if it were fresh, first orphan %d", used, fresh, orphan)
	}
	return nil
}

// checkExtBackup wants a copy of super that only says otherwise where it is,
// and whether it is clean.
func checkExtBackup(backup, super []byte, group uint64) error {
	if err := checkExtChecksum(backup); err != nil {
		return err
	}
	order := binary.LittleEndian
	if got := order.Uint16(backup[extGroup:]); uint64(got) != min(group, 1<<16-1) {
		return unsure("superblock of group %d says it is that of %d", group, got)
	}
	same := slices.Clone(backup)
	copy(same[extState:extState+2], super[extState:])
	copy(same[extGroup:extGroup+2], super[extGroup:])
	if !bytes.Equal(same[:extChecksum], super[:extChecksum]) {
		return unsure("superblock of group %d differs", group)
	}
	return nil
}

func checkExtChecksum(super []byte) error {
	if !extHas(super, extROCompat, extMetadataCsum) {
		return nil
	}
	if t := super[extChecksumType]; t != 1 {
		return unsure("checksums of type %d", t)
	}
	if binary.LittleEndian.Uint32(super[extChecksum:]) != extSum(super) {
		return unsure("wrong checksum of a superblock")
	}
	return nil
}

// Patches leaves the copies different only where they were, and makes their
// checksums with the function that found the old ones right.
func (s *extStamp) Patches(id ID) []Patch {
	uuid, seed := uuidOf(id), extSeedOf(id)
	patches := make([]Patch, len(s.places))
	for i, place := range s.places {
		data := slices.Clone(place.Data)
		if len(data) == len(uuid) {
			copy(data, uuid[:])
		} else {
			copy(data[extUUID:], uuid[:])
			copy(data[extHashSeed:], seed[:])
			if s.checksum {
				binary.LittleEndian.PutUint32(data[extChecksum:], extSum(data))
			}
		}
		patches[i] = Patch{place.Off, data}
	}
	return patches
}

// extSeedOf is random as id is, but does not show in the UUID.
func extSeedOf(id ID) (seed [16]byte) {
	sum := sha256.Sum256(append([]byte("directory hash seed "), id[:]...))
	copy(seed[:], sum[:])
	return seed
}
