// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package ondisk

import (
	"crypto/sha256"
	"hash/crc32"
	"slices"
)

// An ID is 128 random bits, from which every identity on a disk is made: its
// UUID or serial number, and further ones where there are several.
type ID [16]byte

// UUID is id as a random UUID (version 4, RFC 9562).
func UUID(id ID) []byte {
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return id[:]
}

// SecondUUID is as random as UUID, but neither shows in the other.
func SecondUUID(id ID) []byte {
	sum := sha256.Sum256(append([]byte("second"), id[:]...))
	return UUID(ID(sum[:len(id)]))
}

// Serial32 is never zero, which some programs take for no serial at all.
func Serial32(id ID) []byte {
	for s := range slices.Chunk(id[:], 4) {
		if !IsZero(s) {
			return s
		}
	}
	return []byte{1, 0, 0, 0}
}

// Serial64 is the first half of id.
func Serial64(id ID) []byte { return id[:8] }

// Always is a value that no identity changes.
func Always(value []byte) func(ID) []byte {
	return func(ID) []byte { return value }
}

// Castagnoli is the table of CRC-32C.
var Castagnoli = crc32.MakeTable(crc32.Castagnoli)
