// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package minfree asks whether filesystems have enough space for one more client
// (min-free), and has disks that nobody uses removed where they have not.
//
// # Contract
//
// [Spaces.Check] is a look, not a reservation: clients that come together see the same
// free space, and disks grow afterwards. [Spaces.Ensure] also removes, by a function of
// the caller's, as much as is missing. Clients that come together are looked after one
// after the other, with one account of what was removed and is not free yet, so that no
// more goes than must. How much space a removal frees is known only when it has: of
// blocks that are shared none is freed. So that is measured, and if it was nothing,
// nothing more is removed for a while.
//
// # Concurrency
//
// All functions may be called from any goroutine. No lock is held while a filesystem is
// asked, or something is removed. Whoever waits, for either or for its turn, does so no
// longer than its context lasts. A filesystem that hangs takes one goroutine, and a
// thread, for each directory that is asked about.
//
// # What it does not do
//
// It does not decide what may be removed, and does not limit how far disks grow.
package minfree
