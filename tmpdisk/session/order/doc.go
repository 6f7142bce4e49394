// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package order keeps sessions in the order of a time: when each was left, say. To put one
// in, to take one out, and to find the first, takes steps by the logarithm of how many
// there are.
//
// # Concurrency
//
// The caller has a lock.
//
// # What it does not do
//
// It has no clock: what is first may be due or not.
package order
