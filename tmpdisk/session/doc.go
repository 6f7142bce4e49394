// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package session keeps disks whose clients have gone, until they come back.
//
// A session is known by its [Key]. [Sessions.Open] connects a client to it: to a
// fresh disk the first time, and later to the disk that it had. When the last
// connection has been closed the disk waits, for the Grace of its [Policy]. What
// ends after that, or for any other reason, leaves a note of its key behind, so
// that no client ever takes a fresh disk for its old one.
//
// # Policies
//
// Each export may have a [Policy] of its own, and may change it. A session is
// under the policy of the client that came when nobody was connected; whoever
// comes next joins under the same one. When the last client has left, the disk
// waits for the grace of that policy, even if the export has another one by then.
// A record does not say what held on another server: disks that Start finds, and
// those that another server's client left or that it had when it died, wait for
// Options.Grace of their export. However long disks may wait, the one that has
// waited the longest is the first to make room.
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
