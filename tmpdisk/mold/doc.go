// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package mold keeps what a program like mkfs wrote to a fresh disk in memory,
// and casts it into a new file for each client.
//
// A Mold is the blocks that are not zero, of 4 KiB each, and where they stand.
// Equal blocks are kept once, wherever they stand, and written as often as
// they stand somewhere. Bytes that a Patch replaces are written in place of
// the mold's, not after them, so each block of a cast is written once.
//
// A Mold never changes. Any number of goroutines may read and cast it.
//
// The package does not make files, nor does it know what is in them: whoever
// casts opens the file, which must be empty, because zeroes are not written,
// and removes it after an error. No cast is flushed.
package mold
