// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package names says what the files of a session are called, which of them are there, and
// who may change that: whoever has the [Lock].
//
// The files of a session are
//
//	KEY.disk        the disk, locked (flock) by the server that has its claim
//	KEY.json        its record; or a note, without a disk, that it is lost
//	KEY.tmp.RANDOM  what is about to become one of these, locked by its maker
//	lock            empty, where other machines have the directory as well: its
//	                lock is the directory's
//
// and those of what it stands on, which package basis has.
//
// # Concurrency
//
// All functions and methods may be called from any number of goroutines.
//
// # What it does not do
//
// It does not know what is in a file.
package names
