// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package supply has the fresh disks of one export: it puts together what makes disks,
// what keeps templates, and what keeps spare disks.
//
// # Contract
//
// [Supply.Take] returns a disk that no client has used. It is the caller's, who gives
// it to [Supply.Return], or closes it. It comes from a mold, if the type is built in
// and the mold is small enough; or else from the pool, which has disks made by the
// command or mkfs, or cloned from a template of the command's.
//
// Each disk knows how the client got it ([Fresh.Outcome]).
//
// # Concurrency
//
// All methods may be called from any goroutine. Start comes first and Stop last; what
// is taken may be returned after Stop.
//
// # What it does not do
//
// It does not ask whether there is space for a client's disk, but only for a spare
// one. It knows of no clients and no sessions.
package supply
