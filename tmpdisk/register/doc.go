// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package register knows who has which disk. What the status and the metrics show of
// clients, disks and exports is read from it, and disks are counted by it where a
// client may have so many only.
//
// # Contract
//
// A client that comes is booked by [Register.Open], before it has a disk. Then come
// [Client.Connect] or [Client.Fail]; after Connect, [Client.Disconnect] when the client
// has gone, and [Client.Done] when it is known whether the disk waits for it. Between
// these two the disk counts still, but is shown no more.
//
// The disk of a session is one disk, whoever has it: [Register.Waits] says that it
// waits, [Register.Gone] that it is there no longer, and [Register.Found] that an
// earlier server has left it. A disk takes a slot of each client that has it, whoever's it
// was before, and of whoever had it last while it waits.
//
// What is counted for an export is known until the export has gone ([Register.Release])
// and all its disks. Until then no number of a [Snapshot] that counts is ever less than in
// an earlier one. Names of exports that there are not, which a client may have chosen, are
// counted under one name.
//
// # Concurrency
//
// All methods may be called from any goroutine. The one lock is held for no longer
// than it takes to look at what is in memory, and no filesystem is asked under it. One
// that hangs takes a goroutine for its disks that wait or belong to sessions, and one for
// others.
//
// # What it does not do
//
// It holds no disk and closes none, and does not know what a session is but for its
// [Key]. It writes no files.
package register
