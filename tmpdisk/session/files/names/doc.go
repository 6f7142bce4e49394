// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package names says what the files of a session are called, which of them are there, and
// who may change that: whoever has the [Lock].
//
// # Concurrency
//
// All functions and methods may be called from any number of goroutines.
//
// # What it does not do
//
// It does not know what is in a file.
package names
