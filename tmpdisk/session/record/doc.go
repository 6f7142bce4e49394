// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package record reads and writes what the directory of sessions knows of a session: a
// [Record], in a file that is changed in place.
//
// # Concurrency
//
// One server at a time changes a file: the one that has the lock of the session's disk.
// Others may read it meanwhile.
//
// # What it does not do
//
// It locks nothing, and knows nothing of names.
package record
