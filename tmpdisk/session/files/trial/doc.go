// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package trial finds out whether sessions can be kept in a directory.
//
// # Concurrency
//
// All functions may be called from any number of goroutines. They hang if the
// filesystem does.
//
// # What it does not do
//
// It remembers nothing: whoever opens a directory asks once.
package trial
