// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package sys

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
)

// A FieldHash is a SHA-256 of fields, each with its length before it, so that no two
// lists of fields are one.
type FieldHash struct{ h hash.Hash }

// NewFieldHash returns the hash of these fields so far.
func NewFieldHash(fields ...string) FieldHash {
	f := FieldHash{sha256.New()}
	f.Add(fields...)
	return f
}

// Add adds fields at the end.
func (f FieldHash) Add(fields ...string) {
	var n [8]byte
	for _, field := range fields {
		binary.BigEndian.PutUint64(n[:], uint64(len(field)))
		f.h.Write(n[:])
		f.h.Write([]byte(field))
	}
}

// AddList adds fields of which it is not known how many there are: an empty one ends them.
func (f FieldHash) AddList(fields ...string) {
	f.Add(fields...)
	f.Add("")
}

// String is the hash in 64 hexadecimal digits.
func (f FieldHash) String() string { return hex.EncodeToString(f.h.Sum(nil)) }
