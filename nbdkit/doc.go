// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package nbdkit lets plugins for the NBD server nbdkit be written in Go. It
// covers version 2 of the API that nbdkit-plugin(3) describes, as of nbdkit
// 1.32; the same plugin works with newer servers.
//
// # Writing a plugin
//
// A plugin is a package main that registers a value with [PluginInitialize] in
// an init function, has an empty main function, and is built with
//
//	go build -buildmode=c-shared -o myplugin.so
//
// for nbdkit ./myplugin.so. It needs a C compiler, pkg-config and nbdkit's
// header, and no cgo of its own.
//
// The value has an Open method ([PluginInterface]), which returns a connection
// with GetSize and PRead ([ConnectionInterface]). Everything else is an optional
// interface of one method. A plugin that has the method gets the callback; for
// one that does not, nbdkit behaves as for a C plugin without that callback. A
// method that has the name but not the type is an error when the plugin is
// loaded, or for a connection when it is opened. A method such as Version, which
// only looks like a callback, is ignored, and the log says so at the same time. To
// have the compiler check a callback:
//
//	var _ nbdkit.PWriter = (*disk)(nil)
//
// # Life cycle
//
// nbdkit reads its parameters and then forks, into the background or to run the
// command of --run. Go does not survive a fork. So the server's process runs no
// Go before it: short-lived processes find out what nbdkit must know by then.
//
//	process of its own   package initialization, Describe
//	process of its own   package initialization, Load, Config...,
//	                     ConfigComplete, ThreadModel
//	                     -- nbdkit forks, changes user and directory --
//	the server           package initialization, Load, Config...,
//	                     ConfigComplete, GetReady, AfterFork
//	                     PreConnect, ListExports, DefaultExport,
//	                     Open, all about connections, Close
//	                     Cleanup, Unload
//
// With --dump-plugin there are the short-lived processes only: one for Describe,
// one for Load, Config and ThreadModel, and one for Load, Config and DumpPlugin.
//
// This has consequences:
//
//   - Config and ConfigComplete run twice, in two processes. An error in the
//     first ends nbdkit before it forks, with exit status 1, and the user sees it.
//     So they should check the parameters and do nothing else: whatever they
//     leave behind outside of memory is left twice, and whatever they read from
//     a descriptor or from standard input is gone the second time. [ReadPassword]
//     is the exception: it remembers. What [Leave] was given is there after the fork. Nothing that Describe does to memory is
//     seen later.
//   - The second time they run as the server's user, in the directory /.
//     [AbsolutePath] and [Realpath] know where nbdkit was started, at any time.
//   - Unlike in C, GetReady comes after the fork. It and AfterFork are the places
//     to open files and to start goroutines, which live as long as the server.
//   - An error or a panic that comes only after the fork, in these or in Config or
//     ConfigComplete, also ends nbdkit with exit status 1, and the user sees it.
//     For that, an nbdkit that sends its server into the background does not
//     return before AfterFork has. The command of --run has begun by then: its
//     clients are refused, and the exit status is 1 when it has ended. In all
//     cases the plugin gets no further callback.
//   - os.Exit(0) in the configuration ends nbdkit with exit status 0, as exit(3)
//     does in C.
//
// # Concurrency
//
// Callbacks run on the server's threads, several at once. [ThreadModeler] says
// which of them may overlap; without it all may, even requests of one
// connection. Open, Close and the other callbacks of different connections
// overlap except with ThreadModelSerializeConnections and
// ThreadModelSerializeAllRequests. On servers before 1.34 the requests of one
// connection are serialized even for a parallel plugin, because such a server
// would not survive clients that hang up.
//
// A callback and the goroutine that it runs on belong to one client: [ExportName],
// [PeerName] and the like are about that client, and fail in other goroutines.
// [Error] and [Debug] work everywhere. A callback that may take long runs its work
// by [WithClient], so as not to go on for a client that has gone.
//
// Buffers are nbdkit's memory. PRead and PWrite must not keep theirs, or let
// another goroutine use it, after they have returned.
//
// # Errors and panics
//
// The error that a callback returns is logged, and the client gets its errno:
// the first [syscall.Errno] in its chain, as [PluginError] and the errors of
// package os have one. Without one the client gets what the callback gave to
// [SetError], or else EIO. NBD knows few errors; nbdkit makes EINVAL of others.
//
// A panic in a callback is logged with its stack, and is EIO for the client
// whose callback it was. Other clients do not notice.
//
// # What it does not do
//
// A panic in a goroutine that the plugin has started ends the server, as in
// every Go program; so do os.Exit, runtime.Goexit in a callback, and what Go
// calls fatal errors (a buffer used after its callback may be one).
//
// It is not for filters. It does not support nbdkit's debug flags (-D), which are
// C variables, or several plugins in one shared object. It is for Linux, and for
// Go releases that start their runtime on the first thread that the shared object
// creates, as 1.23 to 1.26 do. A plugin built with another release says so and
// refuses to be loaded.
package nbdkit
