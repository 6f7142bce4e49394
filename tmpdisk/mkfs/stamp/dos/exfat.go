// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package dos

import (
	"encoding/binary"
	"math/bits"
	"slices"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/ondisk"
)

// Offsets in the boot sector.
const (
	exfatZero         = 11 // up to 64, where FAT has what exFAT must not have
	exfatLength       = 72 // in sectors
	exfatHeap         = 88 // the sector where cluster 2 is
	exfatRoot         = 96 // cluster of the root directory
	exfatSerial       = 100
	exfatFlags        = 106
	exfatSectorShift  = 108
	exfatClusterShift = 109 // sectors in a cluster
	exfatInUse        = 112
)

// The boot region is twelve sectors, the last of which repeats the checksum of
// the others. A copy of it comes next.
const exfatRegion = 12

// FindExFAT finds the boot region and its copy.
func FindExFAT(image ondisk.Image) []ondisk.Region {
	c := readBoot(image, "EXFAT   ")
	checkExFAT(c, image.Size)
	checkExFATRoot(c.Data, image)
	length := exfatRegion << c.Data[exfatSectorShift]
	return []ondisk.Region{{
		Offsets: []int64{0, int64(length)},
		Data:    image.Bytes(0, length),
		Fields:  []ondisk.Field{{Offsets: []int{exfatSerial}, Of: ondisk.Serial32}},
		Sum:     setExFATSum,
	}}
}

func checkExFAT(c ondisk.Check, size int64) {
	c.Is("revision", 104, 2, 0x100, 0)
	c.Is("flags", exfatFlags, 2, 0, 0)
	ondisk.Want(ondisk.IsZero(c.Data[exfatZero:64]), "something of FAT in the boot sector")
	sector, cluster := c.Data[exfatSectorShift], c.Data[exfatClusterShift]
	ondisk.Want(sector >= 9 && sector <= 12 && cluster <= 25-sector,
		"sectors of 2^%d bytes, clusters of 2^%d sectors", sector, cluster)
	n := c.Order.Uint64(c.Data[exfatLength:])
	ondisk.Want(n >= 2*exfatRegion && n <= uint64(size>>sector), "%d sectors", n)
}

// checkExFATRoot wants to find only what every volume has in the root
// directory: there may be a GUID of the volume.
func checkExFATRoot(boot []byte, image ondisk.Image) {
	const entry, most = 32, 8
	order := binary.LittleEndian
	root := int64(order.Uint32(boot[exfatRoot:])) - 2
	ondisk.Want(root >= 0, "root directory in cluster %d", root+2)
	first := int64(order.Uint32(boot[exfatHeap:])) + root<<boot[exfatClusterShift]
	known := []byte{0x81, 0x82, 0x83, 0x03, 0x20} // bitmap, upper case, label, no label, no GUID
	for e := range slices.Chunk(image.Bytes(first<<boot[exfatSectorShift], entry*most), entry) {
		if e[0] == 0 { // the end
			return
		}
		ondisk.Want(slices.Contains(known, e[0]), "directory entry of type %#x", e[0])
	}
	ondisk.Want(false, "more than a fresh root directory")
}

// setExFATSum leaves out the bytes that change while the volume is in use.
func setExFATSum(region []byte) {
	end := len(region) / exfatRegion * (exfatRegion - 1)
	var sum uint32
	for _, part := range [][]byte{region[:exfatFlags], region[exfatFlags+2 : exfatInUse], region[exfatInUse+1 : end]} {
		for _, b := range part {
			sum = bits.RotateLeft32(sum, -1) + uint32(b)
		}
	}
	for at := end; at < len(region); at += 4 {
		binary.LittleEndian.PutUint32(region[at:], sum)
	}
}
