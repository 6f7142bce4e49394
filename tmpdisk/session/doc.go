// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package session keeps disks whose clients have gone, until they come back.
//
// A session is known by its [Key]. [Sessions.Open] connects a client to it: to a
// fresh disk the first time, and later to the disk that it had. When the last
// connection has been closed the disk waits, for Options.Grace. What ends after
// that, or for any other reason, leaves a note of its key behind, so that no
// client ever takes a fresh disk for its old one.
//
// # Fencing
//
// A [Conn] is one client's way to the disk. With Handover, a client that comes
// while another is connected may read at once. Its first request that modifies
// the disk fences the connections that are older: none of their requests is
// carried out any more, and those in progress have ended before. The word of
// [Conn.Gate] is what both sides look at, in Go and in C.
//
// # Where disks wait
//
// A keeper has what outlives a connection: memory, in which the disks are open
// files without a name, or a [Dir], in which they outlive the server as well. A
// flock(2) on the disk's file says that a connected server has it.
//
// # Concurrency
//
// All methods may be called from any number of goroutines. Locks are taken in
// this order: a session's, then that of Sessions. No request takes either, but
// one that modifies for the first time.
//
// # What it does not do
//
// It makes no disks. It does not find out who a client is, see [NewKey]. Between
// two servers that share a Dir it hands no connected session over.
package session
