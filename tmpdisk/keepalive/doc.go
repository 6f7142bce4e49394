// Copyright the nbdkit-tmpdisk-plugin authors.
// SPDX-License-Identifier: BSD-3-Clause

// Package keepalive has the kernel notice dead clients (client-timeout).
//
// A TCP connection to a machine that has lost power looks like one that is
// idle. If told to, the kernel asks the other side for a sign of life and ends
// the connection when none comes. The server's next read or write, or the one
// that it is blocked in, then fails, and the client's disk is closed as after
// any hang-up.
//
// # Contract
//
// On Linux an accepted socket takes these settings over from the socket that
// listens. So [Keepalive.Start] sets them once, on the sockets that nbdkit listens
// on. A connection that was waiting to be accepted by then was made before, and has
// not taken them over: with socket activation, the connection that started the
// server is one, and there may be thousands. Such connections are counted, and
// [Keepalive.Accepted] sees to it that they are set within a second. To set one, all
// must be looked at, so they are set together.
//
// # Concurrency
//
// Start comes before all else. Accepted may be called from any goroutine, and waits for
// nothing.
//
// # What it does not do
//
// It does not know which connection is whose: nbdkit does not tell. It leaves alone
// Unix and vsock sockets, and those that nbdkit has not opened itself.
package keepalive
