// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package tmpdisk makes a fresh disk for each client of an NBD server, and
// serves it. It is all of the nbdkit plugin of that name but the translation to
// and from nbdkit's callbacks.
//
// A [Server] is made from a configuration that package config has checked. It gives
// each client a [Connection] to a disk, until Close. What the package needs of
// nbdkit comes through [Host] and [Client]. Everything else is in the packages below:
// this one joins them.
//
// # How a client with a token gets its disk
//
//	server.go      PreConnect: descriptors refuses the client if few are left;
//	               keepalive sets its socket if it came before the server was ready
//	exports.go     find: the name is EXPORT/TOKEN; the export is entered, so that
//	               a change of its file does not stop it meanwhile
//	server.go      openIn: who the client is; the session's key
//	               connect: register counts the client, or it has too many disks
//	sessions.go    openSession: session returns the disk that waits, or is in use;
//	liveexport.go  or, if there is none: enough must be free (minfree),
//	               supply makes a disk, and session keeps it from now on
//	server.go      connect: requests are counted and limited (requests.go)
//	refusal.go     refuse: an error of any of these is counted by its kind, and logged
//
// Without a token, liveexport.go takes the place of sessions.go.
//
// # How a client leaves
//
//	server.go      Close: its meter ends, so others of its owner's may go faster;
//	               register: its requests are added up, and it has no disk now
//	               session: if it was the last one, a disk that was used waits,
//	sessions.go    and register is told so (Waits); one that was not is removed
//	server.go      register: the client is done with the disk
//
// Without a token, the register forgets the disk. Then supply takes it: one that was
// not used is another client's, any other is closed, and its space is free.
//
// stop.go ends all at once, and leaves behind what hangs.
//
// # Concurrency
//
// The methods of Server and Connection may be called from any number of goroutines;
// Close must come after the last of its connection's requests. Requests share no
// lock and allocate no memory.
//
// # What it does not do
//
// It keeps nothing, but for sessions: else a flush does nothing, and a disk does
// not outlive its client. It does not limit how much space all clients together take
// (see min-free, and nbdkit's limit filter), nor who may connect.
package tmpdisk
