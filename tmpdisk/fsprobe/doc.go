// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package fsprobe finds out what a filesystem can do, by trying it in a directory.
//
// Whoever serves a request makes a system call and sees whether it fails. A trial is
// for what does not fail but is wrong: a lock that two can have, data that is taken
// for a hole. It also tells administrators what a directory is good for.
//
// # Concurrency
//
// All functions may be called from any number of goroutines. None keeps state but what
// [sys.DistrustHoles] is told. If the filesystem's server is dead they hang, as does
// whatever else is done there.
//
// # What it does not do
//
// It logs nothing. It does not find out what other machines see: only the mount's
// options tell of that, see [Result].LocalLocks.
package fsprobe
