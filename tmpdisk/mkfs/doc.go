// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package mkfs knows the built-in types of filesystem: which program makes
// each, with which options, and what a label may be. Package stamp below it gives
// each disk an identity of its own.
//
// # Concurrency
//
// All functions may be called from any number of goroutines. None keeps state.
//
// # What it does not do
//
// It runs nothing: what it says is run by package command.
package mkfs
