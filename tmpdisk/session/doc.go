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
// # Leases
//
// Where other machines may have the Dir as well, by the type of its filesystem, a
// server can lose the lock and go on running, because it was cut off. There it
// modifies a disk only for some seconds after it last saw that the lock and the
// newest generation are its own. Whoever takes a session that was not given back
// waits for that long, in [Sessions.Open], and goes on with a copy of the disk (a
// clone, where the filesystem can clone). A client that modifies nothing needs no lease, but
// its server looks now and then, and takes a lost lock again if nobody else has it:
// other servers drop a disk without one when its grace is over. [Conn.Gate] then
// keeps what modifies to the methods. What the other machine's kernel writes later
// than that, of what the server asked it for before, lands in a file that nobody has.
//
// # Who has a disk
//
// Options.Waits, Gone and Found tell the caller which disks wait here. Whoever
// calls them has the key in hand: calls for one key come one after the other, and
// an Open of that key that goes on meanwhile returns only after them. There is
// none from when an Open has connected a client until the last Close has begun.
// So a caller can count disks with a map, a mutex that it does not hold while it
// calls a method, and for each key
//
//	refs   raised before Open, lowered after Open has failed and after Close
//	waits  set by Waits and Found, cleared by Gone and after Open has succeeded
//
// There is a disk, or one is being made, as long as refs > 0 or waits: Waits comes
// before Close returns, and Gone before Waits never; where an Open finds a disk
// lost, or puts a fresh one in its place, Gone comes before it returns. What
// DropOldest drops is told before it returns. A call must neither wait for an Open
// or a Close nor take long, for whoever wants that session waits for it.
//
// Of a disk that waits in a Dir and that another server takes, this server hears
// when its own client asks for it, or when its grace here is over, and calls Gone
// then. If it waits again later, this server calls Found when it next looks. Two
// servers that share a Dir may both count a disk that waits.
//
// # Concurrency
//
// All methods may be called from any number of goroutines. Locks are taken in
// this order: a session's, or that for looking and then a lease's; then that of
// Sessions. No request takes either, but
// one that modifies for the first time.
//
// # What it does not do
//
// It makes no disks. It does not find out who a client is, see [NewKey]. Between
// two servers that share a Dir it hands no connected session over.
package session
