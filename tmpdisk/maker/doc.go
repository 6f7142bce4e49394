// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package maker makes fresh disks: by mkfs, by a command of the administrator's, or
// from what mkfs has written once.
//
// # Contract
//
// A [Maker] makes one disk after the other, each in a private directory of its own.
// [Maker.Fresh] runs the command or mkfs there; [Maker.Filled] has a function of its
// caller's put the disk there. The disk is opened, and it and its directory are
// removed, before the caller gets it, so that it is gone when it is closed, even by
// kill -9. Where the filesystem gives open files another name, the directory goes
// when the disk is closed. On an error nothing is left behind.
//
// A command may link its disk to another file. Whoever serves such a disk, rather
// than copying it, asks [Servable] first.
//
// A [Caster] runs mkfs once, and makes all disks of a built-in type from the result:
// from memory; from a file, if the result is large; or else by mkfs for each disk.
//
// Package trial below it finds out before a server starts whether its disks can be made. What
// it made is handed to the server's Casters as [Tried]. [Maker.Never] tells errors that stay
// from those that may pass.
//
// # Concurrency
//
// All methods may be called from any goroutine. A run of mkfs for a mold goes on when
// the client that waits for it leaves; only Stop ends it.
//
// # What it does not do
//
// It keeps no disks: templates and spare disks are others'. It does not limit how many
// commands run at a time; a Caster waits for its turn, see [Turns].
package maker
