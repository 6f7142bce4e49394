// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package descriptors keeps clients from taking the server's last file descriptors.
//
// An nbdkit that has none left to accept a client with tries again at once, for as
// long as the client waits. That takes a CPU and fills the log. One that serves a
// client's requests in parallel (1.34 and newer) never closes the socket of a client
// that it has no descriptors for. So some are kept: the client is accepted, and the
// plugin refuses it. What is kept also serves whatever needs descriptors for a
// moment, such as commands, the status file, and sessions of connected clients.
//
// # Contract
//
// [Budget.Accepted] is asked about each connection, and [Budget.Open] before each
// disk. Their errors wrap EMFILE. It is not booked who has which descriptor: they are
// counted, when what may be open comes near the limit.
//
// # Concurrency
//
// All methods may be called from any goroutine. Counting happens under the lock.
//
// # What it does not do
//
// It does not raise the limit, and does not limit memory or threads.
package descriptors
