// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package privdir opens directories that a server can be sure of: what is in one
// only this user can have put there. They are below a directory that the
// administrator names, in which nobody else can replace them, and each thing is
// checked by its open descriptor before it is used.
//
// # Concurrency
//
// All functions may be called from any number of goroutines, and any number of
// processes may use one directory.
//
// # What it does not do
//
// It knows nothing of what the files, and their locks, are for. Against root it
// protects nothing.
package privdir
