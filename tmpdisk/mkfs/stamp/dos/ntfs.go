// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package dos

import (
	"bytes"
	"encoding/binary"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/ondisk"
)

// Offsets in the boot sector.
const (
	ntfsCluster = 13 // sectors in a cluster, or from 128 on minus a shift
	ntfsSectors = 40 // without the backup boot sector, which comes next
	ntfsMFT     = 48 // the cluster where the MFT begins
	ntfsRecord  = 64 // clusters in a record, or minus a shift of bytes
	ntfsSerial  = 72
)

// FindNTFS finds the boot sector, which is also the file $Boot, and its backup
// behind the last sector. It also looks at $Volume, which may have a GUID.
func FindNTFS(image ondisk.Image) []ondisk.Region {
	c := readBoot(image, "NTFS    ")
	c.Is("checksum", 80, 4, 0, 0)
	boot := c.Data
	sector, sectors := readSectorSize(boot), c.Order.Uint64(boot[ntfsSectors:])
	ondisk.Want(sectors > 0 && sectors < uint64(image.Size/sector), "%d sectors", sectors)
	volume := readNTFSVolume(boot, sector, image)
	unprotectNTFS(volume)
	checkNTFSAttributes(volume)
	return []ondisk.Region{{
		Offsets: []int64{0, int64(sectors) * sector},
		Data:    boot,
		Fields:  []ondisk.Field{{Offsets: []int{ntfsSerial}, Of: ondisk.Serial64}},
	}}
}

// readNTFSVolume reads record 3 of the MFT, $Volume.
func readNTFSVolume(boot []byte, sector int64, image ondisk.Image) []byte {
	cluster := sector * int64(boot[ntfsCluster])
	if shift := -int8(boot[ntfsCluster]); shift > 0 {
		cluster = sector << min(shift, 16)
	}
	record := cluster * int64(int8(boot[ntfsRecord]))
	if shift := -int8(boot[ntfsRecord]); shift > 0 {
		record = 1 << min(shift, 16)
	}
	ondisk.Want(cluster > 0 && record >= 512 && record <= 4096 && record%512 == 0,
		"clusters of %d bytes, MFT records of %d", cluster, record)
	mft := binary.LittleEndian.Uint64(boot[ntfsMFT:])
	ondisk.Want(mft <= uint64(image.Size/cluster), "MFT at cluster %d", mft)
	return image.Bytes(int64(mft)*cluster+3*record, int(record))
}

// unprotectNTFS puts the last two bytes of each 512 back, in whose place every
// record on the disk has a number that tells whether all of it was written.
func unprotectNTFS(record []byte) {
	order := binary.LittleEndian
	at, n := int(order.Uint16(record[4:])), int(order.Uint16(record[6:]))
	ondisk.Want(string(record[:4]) == "FILE" && n == len(record)/512+1 && at >= 42 && at+2*n <= bootEnd,
		"$Volume: not a record")
	saved := record[at : at+2*n]
	for i := 1; i < n; i++ {
		end := record[i*512-2 : i*512]
		ondisk.Want(bytes.Equal(end, saved[:2]), "$Volume: not written as a whole")
		copy(end, saved[2*i:])
	}
}

// checkNTFSAttributes knows the attributes that mkntfs writes, of which only
// an object ID would be an identity, and wants version 3.1 and a clean volume.
func checkNTFSAttributes(record []byte) {
	const (
		information = 0x70
		end         = 0xffffffff
	)
	order := binary.LittleEndian
	versionOK := false
	for at := int(order.Uint16(record[20:])); ; {
		ondisk.Want(at+8 <= len(record), "$Volume: attributes without an end")
		attribute := record[at:]
		kind, n := order.Uint32(attribute), order.Uint32(attribute[4:])
		if kind == end && versionOK {
			return
		}
		ondisk.Want(n >= 24 && n <= uint32(len(attribute)), "$Volume: attribute %#x of %d bytes", kind, n)
		switch kind {
		case 0x10, 0x30, 0x50, 0x60, 0x80: // times, name, security, label, no data
		case information:
			value := int(order.Uint16(attribute[20:]))
			ondisk.Want(value+12 <= int(n) && bytes.Equal(attribute[value+8:value+12], []byte{3, 1, 0, 0}),
				"$Volume: version or flags")
			versionOK = true
		default:
			ondisk.Want(false, "$Volume: attribute %#x", kind)
		}
		at += int(n)
	}
}
