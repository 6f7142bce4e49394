// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package xfs finds the identity of XFS: a UUID in every group's superblock, and
// in the log.
//
// # Concurrency
//
// Find may be called from any number of goroutines.
//
// # What it does not do
//
// It does not change the UUID that all other metadata has: Linux 4.3 and later
// know that this may be another. It understands no log but the one that mkfs
// leaves.
package xfs
