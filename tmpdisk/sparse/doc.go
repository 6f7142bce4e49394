// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package sparse makes sparse files: empty ones, and clones of others, by
// sharing blocks where the filesystem can and by copying what is not a hole
// where it cannot.
//
// # Concurrency
//
// All functions may be called from any number of goroutines. None keeps state.
//
// # What it does not do
//
// It chooses no names and removes nothing: whoever made a file removes it after
// an error.
package sparse
