// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package files keeps the disks of sessions in a directory, in which they outlive the
// server. Package names says what the files are called.
//
// A [Claim] is an open, locked disk and its record. A record changes only in the hands
// of the server that has the claim, and in place, in the older of two slots. So it takes
// no space and no second file to give back what is there. A note changes only under the lock of the directory, and so does what a new
// disk and its record are called.
//
// A new disk gets its name first, then its record, and then loses its temporary name.
// So a disk that has no record and still has its temporary name was never a client's.
// One that has neither has lost its record: that is a loss, which is said, and the disk
// stays until its grace is over. A new record is on the server's own disk before a client
// is told of the session: not even a crash of the machine makes the session unknown.
//
// # How a session is taken up
//
//	resume.go    Resume claims the disk: opens and locks it, and reads its record.
//	claim.go     verdict: whether the disk may be served. What may not is told as a
//	             LostError, and removed only if its record says so.
//	claim.go     take writes the record with the next generation: from now on, the
//	             server that had the session before finds out that it is overtaken.
//	takeover.go  settle, where other machines have the directory: outwait waits until
//	             the lease of a server that did not give the session back is over,
//	             and goOnWithCopy puts a copy in place of the disk and of the record.
//	verify.go    Verify says from then on whether the claim is still this server's.
//
// # Concurrency
//
// The methods of [Dir] and [Claim] are called from any number of goroutines, but for
// one key by one at a time, except Verify and Space.
//
// # What it does not do
//
// It does not know when a grace is over, nor how many disks may wait: its caller
// counts. It removes no disk but by Drop, Replace and Discard, and where a record says
// that its disk is lost.
package files
