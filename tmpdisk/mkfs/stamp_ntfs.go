// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"bytes"
	"encoding/binary"
	"io"
)

// Offsets in the boot sector, which is little-endian, as all of NTFS.
const (
	ntfsName       = 3
	ntfsSectorSize = 11
	ntfsCluster    = 13 // sectors in a cluster, or from 128 on minus a shift
	ntfsSectors    = 40 // without the backup boot sector, which comes next
	ntfsMFT        = 48 // the cluster where the MFT begins
	ntfsRecord     = 64 // clusters in a record, or minus a shift of bytes
	ntfsSerial     = 72
	ntfsChecksum   = 80
)

// newNtfsStamp looks at the boot sector, which is also the file $Boot, at its
// backup behind the last sector, and at $Volume, which may have a GUID.
func newNtfsStamp(size int64, image io.ReaderAt) (Stamp, error) {
	boot, err := readWithin(image, size, 0, bootSectorLength)
	if err != nil {
		return nil, err
	}
	order := binary.LittleEndian
	if string(boot[ntfsName:ntfsSectorSize]) != "NTFS    " || order.Uint16(boot[bootSectorEnd:]) != 0xaa55 {
		return nil, unsure("not a boot sector")
	}
	if sum := order.Uint32(boot[ntfsChecksum:]); sum != 0 {
		return nil, unsure("checksum %#x", sum)
	}
	sector := int64(order.Uint16(boot[ntfsSectorSize:]))
	if !isSectorSize(sector) {
		return nil, unsure("sectors of %d bytes", sector)
	}
	sectors := order.Uint64(boot[ntfsSectors:])
	if sectors == 0 || sectors >= uint64(size/sector) {
		return nil, unsure("%d sectors", sectors)
	}
	off := int64(sectors) * sector
	backup, err := readWithin(image, size, off, bootSectorLength)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(boot, backup) {
		return nil, unsure("backup boot sector differs")
	}
	if err := checkNtfsVolume(boot, sector, size, image); err != nil {
		return nil, err
	}
	return places{[]int64{ntfsSerial, off + ntfsSerial}, serial64}, nil
}

// checkNtfsVolume finds record 3 of the MFT, $Volume.
func checkNtfsVolume(boot []byte, sector, size int64, image io.ReaderAt) error {
	cluster := sector * int64(boot[ntfsCluster])
	if shift := -int8(boot[ntfsCluster]); shift > 0 {
		cluster = sector << min(shift, 16)
	}
	record := cluster * int64(int8(boot[ntfsRecord]))
	if shift := -int8(boot[ntfsRecord]); shift > 0 {
		record = 1 << min(shift, 16)
	}
	if cluster == 0 || record < 512 || record > 4096 || record%512 != 0 {
		return unsure("clusters of %d bytes, MFT records of %d", cluster, record)
	}
	mft := binary.LittleEndian.Uint64(boot[ntfsMFT:])
	if mft > uint64(size/cluster) {
		return unsure("MFT at cluster %d", mft)
	}
	volume, err := readWithin(image, size, int64(mft)*cluster+3*record, int(record))
	if err != nil {
		return err
	}
	if err := unprotectNtfs(volume); err != nil {
		return err
	}
	return checkNtfsAttributes(volume)
}

// unprotectNtfs puts the last two bytes of each 512 back, in whose place every
// record on the disk has a number that tells whether all of it was written.
func unprotectNtfs(record []byte) error {
	order := binary.LittleEndian
	at, n := int(order.Uint16(record[4:])), int(order.Uint16(record[6:]))
	if string(record[:4]) != "FILE" || n != len(record)/512+1 || at < 42 || at+2*n > bootSectorEnd {
		return unsure("$Volume: not a record")
	}
	saved := record[at : at+2*n]
	for i := 1; i < n; i++ {
		end := record[i*512-2 : i*512]
		if !bytes.Equal(end, saved[:2]) {
			return unsure("$Volume: not written as a whole")
		}
		copy(end, saved[2*i:])
	}
	return nil
}

// checkNtfsAttributes knows the attributes that mkntfs writes, of which only
// an object ID would be an identity, and wants version 3.1 and a clean volume.
func checkNtfsAttributes(record []byte) error {
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
			return unsure("$Volume: attribute %#x of %d bytes", kind, n)
		}
		switch kind {
		case 0x10, 0x30, 0x50, 0x60, 0x80: // times, name, security, label, no data
		case information:
			value := int(order.Uint16(attribute[20:]))
			if value+12 > int(n) || !bytes.Equal(attribute[value+8:value+12], []byte{3, 1, 0, 0}) {
				return unsure("$Volume: version or flags")
			}
			versionOK = true
		default:
			return unsure("$Volume: attribute %#x", kind)
		}
		at += int(n)
	}
	return unsure("$Volume: attributes without an end")
}
