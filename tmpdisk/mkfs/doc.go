// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package mkfs knows the built-in types of filesystem: which program makes
// each, with which options, what a label may be, and where the identity of each
// stands on the disk.
//
// # Concurrency
//
// All functions may be called from any number of goroutines. None keeps state.
//
// # What it does not do
//
// It runs nothing: what it says is run by package command.
package mkfs
