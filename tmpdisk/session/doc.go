// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package session keeps disks whose clients have gone, until they come back.
//
// # States
//
// A session is known by its [keep.Key], and is in one of these states:
//
//	none       nothing is known of the key.  A client that comes gets a fresh disk:
//	           connected.
//	connected  clients have the disk.  When the last one leaves: waiting; none, if no
//	           client has ever used the disk; lost, if the filesystem failed it.  When
//	           the server dies: orphan.
//	waiting    nobody has the disk.  A client that comes: connected.  When its grace is
//	           over, or it has to make room: lost.
//	orphan     like waiting, but its server died with a client connected: its grace
//	           begins when another server finds it.
//	unsettled  on its way from orphan to connected, where the server that had it may not
//	           know that it is no longer its own: see package files.
//	lost       there is a note in place of the disk.  A client that comes is refused, or
//	           gets a fresh disk if its policy says so: connected.  After a day: none.
//
// A connection reads; it writes as well once it has been admitted, which the first one
// is at once; and it is fenced when a later one is admitted. A connected session is open
// until it is broken: its disk has failed, or it is overtaken, which means that another
// server has the session. Without session-sync, a session whose disk lacks data is not
// broken but failed: clients go on, and their flushes fail; no other client comes in; and
// when the last one leaves, the session is lost. Its record says so from the beginning.
//
// # How a client comes and goes
//
//	sessions.go  Open joins the session that is there, or takes the key in hand.
//	sessions.go  begin, for the first client: obtain has the directory resume the disk
//	             (package files), or refuses, or has a fresh disk made and created there.
//	session.go   attach opens the gate of the connection: for reading, and for writing
//	             if it is the first, or the session is shared.
//	conn.go      Each request enters the gate (package gate; nbdkit's C does the same). The
//	             first that modifies goes to admit: older gates are closed and drained.
//
//	sessions.go  Close detaches the connection, and closes its gate. After the last one
//	             the lease ends, and the claim is released, discarded or abandoned.
//	waiting.go   Waits is called, before anything can happen to the disk.
//	writeback.go The kernel is asked, as it is now and then, whether it could write all.
//	waiting.go   The disk is a waiter, and the key is in nobody's hands. The timer is set
//	             to the end of its grace, and what is beyond Max is evicted.
//	sessions.go  find, at the start and every few minutes: what is in the directory and
//	             in nobody's hands waits, however it came there.
//
// # Policies
//
// A session has the [Policy] of the client that came when nobody was connected; clients
// that come later join under the same one. When the last client has left, the disk waits
// for the grace of that policy. Disks that Start finds, and those that another server's
// client left, wait for Options.Grace of their export, or for that of the server which
// wrote the record, if that is longer and its Options.Config is another. Whatever their grace, the disk that has waited for the longest time is
// the first to make room.
//
// # Fencing
//
// A [Conn] is one client's way to the disk. A client that comes while another is
// connected may read at once. Its first request that modifies the disk fences the
// connections that are older: none of their requests is carried out any more, and those
// in progress have ended before. The word of [Conn.Gate] is what both sides look at, in
// Go and in C. Where other machines may have the directory, a request that modifies must
// also find that the lease holds: see [keep.Lease]. [Conn.Gate] then keeps such requests
// to the methods.
//
// # Who has a disk
//
// Options.Waits, Gone and Found tell the caller which disks wait here. They are called
// with the key in hand: calls for one key come one after the other, and an Open of that
// key that goes on meanwhile returns only after them. There is none from when an Open has
// connected a client until the last Close has begun. So a caller can count disks with a
// map, a mutex that it does not hold while it calls a method, and for each key
//
//	refs   raised before Open, lowered after Open has failed and after Close
//	waits  set by Waits and Found, cleared by Gone and after Open has succeeded
//
// There is a disk, or one is being made, as long as refs > 0 or waits: Waits comes
// before Close returns, and Gone before Waits never; where an Open finds a disk lost, or
// puts a fresh one in its place, Gone comes before it returns. What DropOldest drops is
// told before it returns. A call must neither wait for an Open or a Close nor take long:
// clients that want that session wait for it.
//
// If another server takes a disk that waits here, this server hears of it when its own
// client asks for the disk, or when its grace here is over, and calls Gone then. If the
// disk waits again later, this server calls Found when it next looks. Servers that share
// a directory look after each other's disks, and may both count one that waits.
//
// # Concurrency
//
// All methods may be called from any number of goroutines. Locks are taken in this
// order: a session's, or that for looking and then a lease's; then that of Sessions. No
// request takes one, but the first of a connection that modifies.
//
// An Open whose ctx ends returns soon, even if the directory hangs (package visit). What
// was begun for it goes on with the key in hand, and gives the disk back. Because each takes
// a thread, no more sessions are begun once too many hang.
//
// # What it does not do
//
// It makes no disks. It does not find out who a client is, see [keep.NewKey]. Between
// two servers that share a directory it hands no connected session over.
package session
