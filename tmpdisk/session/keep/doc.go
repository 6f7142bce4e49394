// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package keep has the words of sessions, which clients, the directory and the rest
// of the server share: the [Key] that names a session, the [Reason] for which its
// disk is gone, the [Waiting] disk, and the [Lease] of a server on a disk.
//
// # Concurrency
//
// A Lease may be used from any number of goroutines. Everything else is a value.
//
// # What it does not do
//
// It touches no file and knows no client.
package keep
