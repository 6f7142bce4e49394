// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package config turns nbdkit's key=value parameters into one checked [Config],
// and has the help text about them.
//
// # Concurrency
//
// A Config is for one goroutine until it is complete, and read-only afterwards.
//
// # What it does not do
//
// It has no side effects, because parameters are read in more than one process:
// it makes no directory and starts nothing. It asks other packages only whether a
// value is right.
package config
