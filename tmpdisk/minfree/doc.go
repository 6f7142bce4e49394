// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package minfree asks whether filesystems have enough space for one more client
// (min-free), and has disks that nobody uses removed where they have not.
//
// # Contract
//
// [Limit.Check] is a look, not a reservation: clients that come together see the same
// free space, and disks grow afterwards. [Limit.Ensure] also removes, by a function of
// the caller's, as much as is missing.
//
// # Concurrency
//
// All functions may be called from any goroutine. They keep nothing and hold no lock.
// They hang where the filesystem's server does.
//
// # What it does not do
//
// It does not decide what may be removed, and does not limit how far disks grow.
package minfree
