// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package stamp gives copies of a fresh filesystem identities of their own. It
// looks at the mold once and then says, for each copy, which bytes to write
// over it: a UUID or serial number, with whatever depends on that.
//
// A mold is stamped only if all of it that matters is understood: magic,
// version, features, checksums, and copies of what is changed. A new checksum is
// made by the function that found the mold's right.
//
// XFS, btrfs, ext and the DOS family have packages of their own; the others are
// here.
//
// # Concurrency
//
// New may be called, and a Stamp used, from any number of goroutines.
//
// # What it does not do
//
// It writes nothing, and runs no program. It does not check the filesystem
// beyond what stamping depends on.
package stamp
