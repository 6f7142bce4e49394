// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package workdir makes the private directories below TMPDIR in which disks are
// made, and removes them: when the disk is ready, or closed if the filesystem
// needs a name for it until then, when it could not be made, and, by a sweep,
// when the server that made them is dead.
//
// # Concurrency
//
// New and Sweep may be called from any number of goroutines, and by any number
// of servers that share one TMPDIR. One Dir is for one goroutine at a time.
//
// # What it does not do
//
// It puts nothing into the directories, and it never removes what another user
// owns or a living server has locked.
package workdir
