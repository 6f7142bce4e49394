// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package users lends users to commands. No two commands run as the same user
// at one time, so none can read another's unfinished disk, and everything that
// belongs to a user can be killed when its command has ended.
//
// All of it needs root.
//
// # Concurrency
//
// A Pool may be used from any number of goroutines. A User belongs to whoever
// has acquired it, until Release.
//
// # What it does not do
//
// It starts no command and owns no files. It makes no users: the administrator
// names users, or numbers, that nothing else has.
package users
