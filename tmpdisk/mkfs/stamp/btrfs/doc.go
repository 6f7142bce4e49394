// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package btrfs finds the identity of btrfs: a UUID in every superblock, and the
// UUID of its one device there and in the chunk tree.
//
// # Concurrency
//
// Find may be called from any number of goroutines.
//
// # What it does not do
//
// It does not change the UUID that the blocks of all trees have: Linux 5.0 and
// later know that this may be another. It understands no chunk tree of more
// than one block, as only filesystems have that were in use.
package btrfs
