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
func FindNTFS(image ondisk.Image) ([]ondisk.Region, error) {
	boot, err := image.Bytes(0, bootLength)
	if err != nil {
		return nil, err
	}
	c := checkBoot(boot, "NTFS    ")
	c.Is("checksum", 80, 4, 0, 0)
	if c.Err != nil {
		return nil, c.Err
	}
	sector := int64(c.Order.Uint16(boot[sectorSize:]))
	if !isSectorSize(sector) {
		return nil, ondisk.NotUnderstood("sectors of %d bytes", sector)
	}
	sectors := c.Order.Uint64(boot[ntfsSectors:])
	if sectors == 0 || sectors >= uint64(image.Size/sector) {
		return nil, ondisk.NotUnderstood("%d sectors", sectors)
	}
	if err := checkNTFSVolume(boot, sector, image); err != nil {
		return nil, err
	}
	return []ondisk.Region{{
		Offsets: []int64{0, int64(sectors) * sector},
		Data:    boot,
		Fields:  []ondisk.Field{{Offsets: []int{ntfsSerial}, Of: ondisk.Serial64}},
	}}, nil
}

// checkNTFSVolume finds record 3 of the MFT, $Volume.
func checkNTFSVolume(boot []byte, sector int64, image ondisk.Image) error {
	cluster := sector * int64(boot[ntfsCluster])
	if shift := -int8(boot[ntfsCluster]); shift > 0 {
		cluster = sector << min(shift, 16)
	}
	record := cluster * int64(int8(boot[ntfsRecord]))
	if shift := -int8(boot[ntfsRecord]); shift > 0 {
		record = 1 << min(shift, 16)
	}
	if cluster == 0 || record < 512 || record > 4096 || record%512 != 0 {
		return ondisk.NotUnderstood("clusters of %d bytes, MFT records of %d", cluster, record)
	}
	mft := binary.LittleEndian.Uint64(boot[ntfsMFT:])
	if mft > uint64(image.Size/cluster) {
		return ondisk.NotUnderstood("MFT at cluster %d", mft)
	}
	volume, err := image.Bytes(int64(mft)*cluster+3*record, int(record))
	if err != nil {
		return err
	}
	if err := unprotectNTFS(volume); err != nil {
		return err
	}
	return checkNTFSAttributes(volume)
}

// unprotectNTFS puts the last two bytes of each 512 back, in whose place every
// record on the disk has a number that tells whether all of it was written.
func unprotectNTFS(record []byte) error {
	order := binary.LittleEndian
	at, n := int(order.Uint16(record[4:])), int(order.Uint16(record[6:]))
	if string(record[:4]) != "FILE" || n != len(record)/512+1 || at < 42 || at+2*n > bootEnd {
		return ondisk.NotUnderstood("$Volume: not a record")
	}
	saved := record[at : at+2*n]
	for i := 1; i < n; i++ {
		end := record[i*512-2 : i*512]
		if !bytes.Equal(end, saved[:2]) {
			return ondisk.NotUnderstood("$Volume: not written as a whole")
		}
		copy(end, saved[2*i:])
	}
	return nil
}

// checkNTFSAttributes knows the attributes that mkntfs writes, of which only
// an object ID would be an identity, and wants version 3.1 and a clean volume.
func checkNTFSAttributes(record []byte) error {
	const (
		information = 0x70
		end         = 0xffffffff
	)
	order := binary.LittleEndian
	versionOK := false
	for at := int(order.Uint16(record[20:])); at+8 <= len(record); {
		attribute := record[at:]
		kind, n := order.Uint32(attribute), order.Uint32(attribute[4:])
		if kind == end && versionOK {
			return nil
		}
		if n < 24 || n > uint32(len(attribute)) {
			return ondisk.NotUnderstood("$Volume: attribute %#x of %d bytes", kind, n)
		}
		switch kind {
		case 0x10, 0x30, 0x50, 0x60, 0x80: // times, name, security, label, no data
		case information:
			value := int(order.Uint16(attribute[20:]))
			if value+12 > int(n) || !bytes.Equal(attribute[value+8:value+12], []byte{3, 1, 0, 0}) {
				return ondisk.NotUnderstood("$Volume: version or flags")
			}
			versionOK = true
		default:
			return ondisk.NotUnderstood("$Volume: attribute %#x", kind)
		}
		at += int(n)
	}
	return ondisk.NotUnderstood("$Volume: attributes without an end")
}
