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
func FindExFAT(image ondisk.Image) ([]ondisk.Region, error) {
	boot, err := image.Bytes(0, bootLength)
	if err != nil {
		return nil, err
	}
	if err := checkExFAT(boot, image.Size); err != nil {
		return nil, err
	}
	if err := checkExFATRoot(boot, image); err != nil {
		return nil, err
	}
	length := int64(exfatRegion) << boot[exfatSectorShift]
	region, err := image.Bytes(0, int(length))
	if err != nil {
		return nil, err
	}
	return []ondisk.Region{{
		Offsets: []int64{0, length},
		Data:    region,
		Fields:  []ondisk.Field{{Offsets: []int{exfatSerial}, Of: ondisk.Serial32}},
		Sum:     setExFATSum,
	}}, nil
}

func checkExFAT(boot []byte, size int64) error {
	c := checkBoot(boot, "EXFAT   ")
	c.Is("revision", 104, 2, 0x100, 0)
	c.Is("flags", exfatFlags, 2, 0, 0)
	if c.Err != nil {
		return c.Err
	}
	if !ondisk.IsZero(boot[exfatZero:64]) {
		return ondisk.NotUnderstood("something of FAT in the boot sector")
	}
	sector, cluster := boot[exfatSectorShift], boot[exfatClusterShift]
	if sector < 9 || sector > 12 || cluster > 25-sector {
		return ondisk.NotUnderstood("sectors of 2^%d bytes, clusters of 2^%d sectors", sector, cluster)
	}
	if n := c.Order.Uint64(boot[exfatLength:]); n < 2*exfatRegion || n > uint64(size>>sector) {
		return ondisk.NotUnderstood("%d sectors", n)
	}
	return nil
}

// checkExFATRoot wants to find only what every volume has in the root
// directory: there may be a GUID of the volume.
func checkExFATRoot(boot []byte, image ondisk.Image) error {
	const entry, most = 32, 8
	order := binary.LittleEndian
	root := int64(order.Uint32(boot[exfatRoot:])) - 2
	if root < 0 {
		return ondisk.NotUnderstood("root directory in cluster %d", root+2)
	}
	first := int64(order.Uint32(boot[exfatHeap:])) + root<<boot[exfatClusterShift]
	entries, err := image.Bytes(first<<boot[exfatSectorShift], entry*most)
	if err != nil {
		return err
	}
	for e := range slices.Chunk(entries, entry) {
		switch e[0] {
		case 0x00: // the end
			return nil
		case 0x81, 0x82, 0x83, 0x03, 0x20: // bitmap, upper case, label, no label, no GUID
		default:
			return ondisk.NotUnderstood("directory entry of type %#x", e[0])
		}
	}
	return ondisk.NotUnderstood("more than a fresh root directory")
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
