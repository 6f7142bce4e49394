// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package disk is an open disk: what a client reads, writes, zeroes, trims and
// asks about. It is a regular file, which has no name any more, or a block
// device. [Disk.Do] carries out a [Request], which is the value that all layers
// between nbdkit and the disk hand on.
//
// # Concurrency
//
// The methods of a Disk may be called from any number of goroutines, but Close
// must come after the last request. Requests share no lock and allocate no
// memory.
//
// # What it does not do
//
// It does not make disks, and it keeps nothing: a flush is nobody's business
// here.
package disk
