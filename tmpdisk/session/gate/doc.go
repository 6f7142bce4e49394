// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package gate lets the requests of a connection in, in Go and in C, and keeps them out
// when another connection has the disk.
//
// # Concurrency
//
// All methods may be called from any number of goroutines, and the word be changed by C
// meanwhile.
//
// # What it does not do
//
// It does not say why a gate is shut, nor does it wake anybody.
package gate
