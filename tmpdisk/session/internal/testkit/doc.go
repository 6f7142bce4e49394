// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package testkit has what the tests of sessions and those of their directory need:
// disks that can be told from each other, and the files in a session-dir.
//
// # Concurrency
//
// All functions may be called from any number of goroutines.
//
// # What it does not do
//
// It starts no server.
package testkit
