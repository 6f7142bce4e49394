// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package xfs

import (
	"bytes"
	"encoding/binary"

	"nbdkit-tmpdisk-plugin/tmpdisk/mkfs/stamp/ondisk"
)

const (
	logSector    = 512
	logUUID      = 304 // offset in the header of a record
	logMaxRecord = 256 << 10
	logLook      = 1 << 20 // what is looked at of the log, in bytes
)

// findLog finds the UUID in the log that mkfs leaves: one record, which says
// that the filesystem was unmounted, and zeroes. No checksum is in it.
func findLog(g geometry, image ondisk.Image, uuid []byte) ondisk.Region {
	ondisk.Want(g.logLength >= logLook, "log of %d bytes", g.logLength)
	log := image.Bytes(g.logStart, logLook)
	length := binary.BigEndian.Uint32(log[12:])
	ondisk.Want(length >= logSector && length <= logMaxRecord && length%logSector == 0, "log record of %d bytes", length)
	rest, fresh := bytes.CutPrefix(log, unmounted(uuid, int(length)))
	ondisk.Want(fresh && ondisk.IsZero(rest), "log is not as mkfs leaves it")
	// The kernel finds the end of the log by comparing its two ends first.
	ondisk.Want(ondisk.IsZero(image.Bytes(g.logStart+g.logLength-logSector, logSector)), "log has been used")
	return ondisk.Region{
		Offsets: []int64{g.logStart + logUUID},
		Data:    uuid,
		Fields:  []ondisk.Field{{Offsets: []int{0}, Of: ondisk.UUID}},
	}
}

// unmounted is the only record of a fresh log: a header of a sector, and
// length bytes, in which each sector begins with the cycle, the first one.
// (On big-endian machines two bytes of it are the other way round.)
func unmounted(uuid []byte, length int) []byte {
	r := make([]byte, logSector+length)
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
	copy(r[logUUID:], uuid)
	put(320, 32<<10) // size of the kernel's buffers
	for sector := logSector; sector < len(r); sector += logSector {
		put(sector, cycle)
	}
	operation := r[logSector+4:]
	binary.BigEndian.PutUint32(operation, 8) // bytes
	copy(operation[4:], []byte{0xaa, 0x20})  // client: the log; flags: unmount
	copy(operation[8:], "nU")
	return r
}
