// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package tmpdisk makes a fresh disk for each client of an NBD server, and
// serves it. It is all of the nbdkit plugin of that name but the translation to
// and from nbdkit's callbacks.
//
// A [Server] is made from a configuration that package config has checked. It
// hands out a [Disk] for each client and takes it back. What the package needs of
// nbdkit comes through [Host]. Everything else is in the rooms below: this
// package joins them.
//
// A disk is made in a private directory under TMPDIR: by mkfs, by a command of
// the administrator's, or by cloning a template that one of these has made. It
// is opened, and it and the directory are removed, before a client sees it, so
// that it is gone when its descriptor is closed, even by kill -9. What a killed
// server was in the middle of making is removed by the next one's start. Where
// the filesystem gives open files another name, the directory goes when the disk
// is closed.
//
// # Concurrency
//
// The methods of Server and Disk may be called from any number of goroutines;
// a Disk's Close must come after the last of its requests. Requests share no
// lock and allocate no memory.
//
// # What it does not do
//
// It keeps nothing, but for sessions: else a flush does nothing, and a disk does
// not outlive its client. It does not limit how much space all clients together take (see
// min-free, and nbdkit's limit filter), nor who may connect.
package tmpdisk
