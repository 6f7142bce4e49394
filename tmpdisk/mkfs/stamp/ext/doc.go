// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package ext finds the identity of ext2, ext3 and ext4: a UUID and a seed for
// directory hashes in every superblock, and the UUID in the journal.
//
// # Concurrency
//
// Find may be called from any number of goroutines.
//
// # What it does not do
//
// It understands no filesystem in which other checksums than the superblock's
// depend on the UUID. It does not read the backup superblocks: it says what
// they must be, and package stamp compares.
package ext
