// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package writeback asks the kernel, at quiet moments, whether it could write what was
// written to files. A [Queue] does so for one file after the other, with fdatasync.
//
// The kernel tells each open file once of what it could not write. A descriptor that was
// open when it was written is told for sure. One that was opened later is told if nobody
// was before, and if the kernel has not forgotten the file meanwhile. So files are asked
// about by duplicates of the descriptor that they were written with.
//
// # Concurrency
//
// All methods may be called from any number of goroutines, and none waits for a
// filesystem. The functions of a [Job] are called on one goroutine, without locks.
//
// # What it does not do
//
// It does not know what is to become of a file that lacks data.
package writeback
