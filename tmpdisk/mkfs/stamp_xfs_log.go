// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"bytes"
	"encoding/binary"
	"io"
)

const (
	xfsLogSector    = 512
	xfsLogUUID      = 304 // offset in the header of a record
	xfsLogMaxRecord = 256 << 10
	xfsLogLook      = 1 << 20 // what is looked at of the log, in bytes
)

// xfsLogRegion is the UUID in the log that mkfs leaves: one record, which says
// that the filesystem was unmounted, and zeroes. No checksum is in it.
func xfsLogRegion(g xfsGeometry, image io.ReaderAt, size int64, uuid []byte) (region, error) {
	if g.logLength < xfsLogLook {
		return region{}, unsure("log of %d bytes", g.logLength)
	}
	log, err := readWithin(image, size, g.logStart, xfsLogLook)
	if err != nil {
		return region{}, err
	}
	length := binary.BigEndian.Uint32(log[12:])
	if length < xfsLogSector || length > xfsLogMaxRecord || length%xfsLogSector != 0 {
		return region{}, unsure("log record of %d bytes", length)
	}
	record := xfsUnmounted(uuid, int(length))
	rest, hasPrefix := bytes.CutPrefix(log, record)
	if !hasPrefix || !isZero(rest) {
		return region{}, unsure("log is not as mkfs leaves it")
	}
	// The kernel finds the end of the log by comparing its two ends first.
	last, err := readWithin(image, size, g.logStart+g.logLength-xfsLogSector, xfsLogSector)
	if err != nil {
		return region{}, err
	}
	if !isZero(last) {
		return region{}, unsure("log has been used")
	}
	return region{
		off:   g.logStart + xfsLogUUID,
		data:  record[xfsLogUUID:][:len(ID{})],
		uuids: []int{0},
	}, nil
}

// xfsUnmounted is the only record of a fresh log: a header of a sector, and
// length bytes, in which each sector begins with the cycle, the first one.
// (On big-endian machines two bytes of it are the other way round.)
func xfsUnmounted(uuid []byte, length int) []byte {
	r := make([]byte, xfsLogSector+length)
	put := func(off int, v uint32) { binary.BigEndian.PutUint32(r[off:], v) }
	const cycle, transaction = 1, 0xb0c0d0d0
	put(0, 0xfeedbabe)
	put(4, cycle)
	put(8, 2) // version
	put(12, uint32(length))
	put(16, cycle)      // this record: cycle 1, sector 0
	put(24, cycle)      // the oldest record: the same
	put(36, 0xffffffff) // no record before
	put(40, 1)          // one operation
	put(44, transaction)
	put(300, 1) // little-endian Linux
	copy(r[xfsLogUUID:], uuid)
	put(320, 32<<10) // size of the kernel's buffers
	for sector := xfsLogSector; sector < len(r); sector += xfsLogSector {
		put(sector, cycle)
	}
	operation := r[xfsLogSector+4:]
	binary.BigEndian.PutUint32(operation, 8) // bytes
	copy(operation[4:], []byte{0xaa, 0x20})  // client: the log; flags: unmount
	copy(operation[8:], "nU")
	return r
}

func isZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
