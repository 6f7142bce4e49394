// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package adopt makes a file in the directory of sessions of a disk that was made
// elsewhere: by giving that a name there, or by a copy.
//
// # Concurrency
//
// All functions may be called from any number of goroutines, for one key by one at a time.
//
// # What it does not do
//
// It makes no session: the names that it gives are temporary.
package adopt
