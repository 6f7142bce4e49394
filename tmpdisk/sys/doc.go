// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package sys has the few helpers about system calls and files that several
// packages of tmpdisk need.
//
// # Concurrency
//
// All functions may be called from any number of goroutines. None keeps state
// but DistrustHoles.
//
// # What it does not do
//
// It knows nothing of disks, directories of ours, or commands, and it logs
// nothing.
package sys
