// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

package mkfs

import (
	"errors"
	"fmt"
	"io"
)

// ErrNotUnderstood is wrapped by the error of NewStamp when the filesystem has
// something that stamping does not know. Nothing is wrong with the disk then.
var ErrNotUnderstood = errors.New("not understood")

// A Patch replaces the bytes from offset Off on, in bytes.
type Patch struct {
	Off  int64
	Data []byte
}

// An ID is 128 random bits, from which every identity on a disk is made: its
// UUID or serial number, and a hash seed where there is one.
type ID [16]byte

// A Stamp knows where one mold's identity stands. It may be used from any
// number of goroutines.
type Stamp interface {
	// Patches returns what is to be written over a copy of the mold to make
	// id its identity, in ascending order and without overlaps. The caller
	// owns the bytes.
	Patches(id ID) []Patch
}

// NewStamp looks at a fresh filesystem of the built-in type fsType on a disk of
// size bytes: magic, version, features and checksums. It returns an error that
// wraps ErrNotUnderstood for anything it is not sure of.
func NewStamp(fsType string, size int64, image io.ReaderAt) (Stamp, error) {
	newStamp, ok := stamps[fsType]
	if !ok {
		return nil, fmt.Errorf("stamp: %s: %w", fsType, ErrNotUnderstood)
	}
	s, err := newStamp(size, image)
	if err != nil {
		return nil, fmt.Errorf("stamp: %s: %w", fsType, err)
	}
	return s, nil
}

type newStampFunc func(size int64, image io.ReaderAt) (Stamp, error)
