// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package dos finds the identity of the filesystems that begin with a DOS boot
// sector: FAT, exFAT and NTFS. It is a serial number, in the boot sector and in
// the copy of that.
//
// # Concurrency
//
// All functions may be called from any number of goroutines. None keeps state.
//
// # What it does not do
//
// It does not compare the copies, nor check exFAT's checksum: package stamp
// does that with each region.
package dos
