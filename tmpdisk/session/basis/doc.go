// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package basis keeps what the disk of a session stands on, if it stands on a base: see
// package overlay.
//
// The record of such a session has the path of the base and its identity. Beside the disk,
// the base has one more name:
//
//	KEY.base    a hard link to the base of KEY's disk, where the filesystem can have one
//	HASH.mold   a hard link to a large mold, of no session
//
// So a base that is replaced, or removed, stays for the sessions that stand on it. Where
// there is no link, on another filesystem say, or it is of no use, the base is looked for at
// its path. In either case it must be what it was: a session is never served over another
// base, nor lost because one of the two could not be read.
//
// A large mold never had a name. If the link of the last session that stands on it went,
// it could have none again, so it has one of its own as long as its server, which has it
// locked (flock), lives.
//
// # Concurrency
//
// [Link], [Sweep] and [Remove] are called with the lock of the directory, and the others by
// whoever has the claim of the session. Nothing keeps state.
//
// # What it does not do
//
// It does not say what becomes of a session whose base has changed.
package basis
