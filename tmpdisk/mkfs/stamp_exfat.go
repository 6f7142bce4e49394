// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/bits"
	"slices"
)

// Offsets in the boot sector, which is little-endian, as all of exFAT.
const (
	exfatName         = 3
	exfatZero         = 11 // up to 64, where FAT has what exFAT must not have
	exfatLength       = 72 // in sectors
	exfatHeap         = 88 // the sector where cluster 2 is
	exfatRoot         = 96 // cluster of the root directory
	exfatSerial       = 100
	exfatRevision     = 104
	exfatFlags        = 106
	exfatSectorShift  = 108
	exfatClusterShift = 109 // sectors in a cluster
	exfatInUse        = 112
)

// A region is twelve sectors, the last of which repeats the checksum of the
// others. There are two, one after the other.
const exfatRegion = 12

// exfatStamp has the sectors of a region that its checksum is made of.
type exfatStamp struct {
	boot   []byte
	sector int64 // bytes
}

func newExfatStamp(size int64, image io.ReaderAt) (Stamp, error) {
	boot, err := readWithin(image, size, 0, bootSectorLength)
	if err != nil {
		return nil, err
	}
	if err := checkExfat(boot, size); err != nil {
		return nil, err
	}
	sector := int64(1) << boot[exfatSectorShift]
	regions, err := readWithin(image, size, 0, int(2*exfatRegion*sector))
	if err != nil {
		return nil, err
	}
	region := regions[:exfatRegion*sector]
	if !bytes.Equal(region, regions[len(region):]) {
		return nil, unsure("backup boot region differs")
	}
	s := &exfatStamp{boot: region[:(exfatRegion-1)*sector], sector: sector}
	if !bytes.Equal(region[len(s.boot):], s.checksumSector(s.boot)) {
		return nil, unsure("wrong boot checksum")
	}
	if err := checkExfatRoot(boot, size, image); err != nil {
		return nil, err
	}
	return s, nil
}

func checkExfat(boot []byte, size int64) error {
	order := binary.LittleEndian
	if string(boot[exfatName:exfatZero]) != "EXFAT   " || order.Uint16(boot[bootSectorEnd:]) != 0xaa55 {
		return unsure("not a boot sector")
	}
	if zero := boot[exfatZero:64]; bytes.Count(zero, []byte{0}) != len(zero) {
		return unsure("something of FAT in the boot sector")
	}
	if r := order.Uint16(boot[exfatRevision:]); r != 0x0100 {
		return unsure("revision %#x", r)
	}
	if f := order.Uint16(boot[exfatFlags:]); f != 0 {
		return unsure("flags %#x", f)
	}
	sector, cluster := boot[exfatSectorShift], boot[exfatClusterShift]
	if sector < 9 || sector > 12 || cluster > 25-sector {
		return unsure("sectors of 2^%d bytes, clusters of 2^%d sectors", sector, cluster)
	}
	if n := order.Uint64(boot[exfatLength:]); n < 2*exfatRegion || n > uint64(size>>sector) {
		return unsure("%d sectors", n)
	}
	return nil
}

// checkExfatRoot wants to find only what every volume has in the root
// directory: there may be a GUID of the volume.
func checkExfatRoot(boot []byte, size int64, image io.ReaderAt) error {
	const entry, most = 32, 8
	order := binary.LittleEndian
	root := int64(order.Uint32(boot[exfatRoot:])) - 2
	if root < 0 {
		return unsure("root directory in cluster %d", root+2)
	}
	first := int64(order.Uint32(boot[exfatHeap:])) + root<<boot[exfatClusterShift]
	entries, err := readWithin(image, size, first<<boot[exfatSectorShift], entry*most)
	if err != nil {
		return err
	}
	for e := range slices.Chunk(entries, entry) {
		switch e[0] {
		case 0x00: // the end
			return nil
		case 0x81, 0x82, 0x83, 0x03: // bitmap, upper case, label, no label
		default:
			return unsure("directory entry of type %#x", e[0])
		}
	}
	return unsure("more than a fresh root directory")
}

// Patches makes the new checksum with the function that found the old one right.
func (s *exfatStamp) Patches(id ID) []Patch {
	serial, boot := serial32(id), slices.Clone(s.boot)
	copy(boot[exfatSerial:], serial)
	checksum := s.checksumSector(boot)
	region := exfatRegion * s.sector
	return []Patch{
		{exfatSerial, serial},
		{region - s.sector, checksum},
		{region + exfatSerial, slices.Clone(serial)},
		{2*region - s.sector, slices.Clone(checksum)},
	}
}

// checksumSector leaves out the bytes that change while the volume is in use.
func (s *exfatStamp) checksumSector(boot []byte) []byte {
	var sum uint32
	for _, part := range [][]byte{boot[:exfatFlags], boot[exfatFlags+2 : exfatInUse], boot[exfatInUse+1:]} {
		for _, b := range part {
			sum = bits.RotateLeft32(sum, -1) + uint32(b)
		}
	}
	return bytes.Repeat(binary.LittleEndian.AppendUint32(nil, sum), int(s.sector/4))
}
