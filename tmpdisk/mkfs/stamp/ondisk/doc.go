// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package ondisk says what package stamp and the packages that know one kind of
// filesystem tell each other: an [Image] to look at, and the [Region]s of it
// that have an identity.
//
// Those packages return no errors. [Want] ends the look at a disk that has
// something unknown, from wherever it is called, and [Try] returns the reason.
//
// # Concurrency
//
// All functions may be called from any number of goroutines. Nobody changes a
// Region once it has been returned.
//
// # What it does not do
//
// It knows no filesystem, and writes nothing.
package ondisk
