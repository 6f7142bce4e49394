// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package fsprobe finds out what a filesystem can do, by trying it in a directory.
//
// What is asked for with a system call that fails costs no more than that call, and
// who needs an answer in the course of a request gets it so. A trial is for what
// does not fail but is wrong: locks that two can have, holes that are none. It is
// also what an administrator wants to know of a directory.
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
