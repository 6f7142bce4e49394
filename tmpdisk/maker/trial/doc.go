// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package trial finds out before a server starts whether its disks can be made.
//
// # Concurrency
//
// [Try] is called once, in a process that does nothing else and ends afterwards.
//
// # What it does not do
//
// It runs no command of the administrator's, and no program but those of the built-in types.
package trial
