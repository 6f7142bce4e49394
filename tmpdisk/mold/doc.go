// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package mold keeps what a program like mkfs wrote to a fresh disk in memory,
// and casts it into a new file for each client.
//
// A [Mold] is the blocks that are not zero, of 4 KiB each, and where they stand.
// Equal blocks are kept once. Bytes that a patch replaces are written in place
// of the mold's, not after them, so each block of a cast is written once.
//
// # Concurrency
//
// A Mold never changes: any number of goroutines may read and cast it.
//
// # What it does not do
//
// It does not make files: whoever casts opens one that is empty, because zeroes
// are not written, and removes it after an error. It does not know what is in
// them. No cast is flushed.
package mold
